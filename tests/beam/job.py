"""Runs pipelines, or some of their nodes, in a process of its own.

    python -m tests.beam.job RUNS.json

The file holds a list of runs: `task`, `config` (plain data), `out` (folder) and `nodes` (names, or
null for all). With `fails`, one of our errors is expected, and written to the file `error` there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError
from babelrank.pipelines import database, launch, local
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.run import graph_function

CONFIGS: dict[str, Any] = {cls.task: cls for cls in (RankingConfig, TranslationConfig)}


def main(path: str) -> None:
    """Runs all in order."""
    for one in json.loads(Path(path).read_text()):
        out = Path(one["out"])
        try:
            run(from_dict(CONFIGS[one["task"]], one["config"]), out, one["nodes"])
        except BabelRankError as error:
            if not one.get("fails"):
                raise
            (out / "error").write_text(f"{type(error).__name__}: {local.message(error)}")


def run(config: PipelineConfig, out: Path, nodes: list[str] | None) -> None:
    """The nodes of a pipeline, by TFX's Launcher."""
    ir = compiled(graph_function(config)(config, out))
    launch.begin(ir, "run")
    connection = database.connection(Layout(out), {})
    for node in ir.nodes:
        if nodes is None or node.pipeline_node.node_info.id in nodes:
            launch.launch(ir, node.pipeline_node, connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
