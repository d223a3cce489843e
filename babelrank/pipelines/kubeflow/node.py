"""One node of the TFX graph as a process of its own: what a task on a cluster runs.

    python -m babelrank.pipelines.kubeflow.node --out DIR --run-id ID --node Trainer --fingerprint F

It makes the graph that was compiled, makes sure that it is the same, and runs the node by TFX's
portable Launcher against the ML Metadata database that the environment names. A second try after a
killed one goes on where that stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babelrank.components.errors import BabelRankError
from babelrank.pipelines.kubeflow import step
from babelrank.pipelines.kubeflow.run_folder import RunFolder
from babelrank.pipelines.lease import Lease


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a node, unless `Plan` found nothing to do.

    Raises:
        BabelRankError: Another run uses the output folder, or the image does not fit.
        Exception: Whatever the node raised.
    """
    parser = step.parser(__doc__.split("\n")[0])
    parser.add_argument("--node", required=True, metavar="NAME", help="the node")
    parser.add_argument("--fingerprint", required=True, metavar="F", help="of the graph")
    parser.add_argument("--compiled-by", required=True, metavar="TEXT", help="versions")
    given = step.parse(parser, arguments)
    folder = RunFolder(given.out, given.run_id)
    decision = folder.decision()
    if decision is None:
        raise BabelRankError(f"{folder.path}: there is no plan; the task Plan has to run first.")
    if not decision.go:
        step.say(decision.reason)
        return
    if folder.step(given.node).state in ("ran", "cached"):
        step.say(f"{given.node}: an earlier try has done it")
        return
    with step.recorded(folder, given.node) as end, Lease(given.out).kept(given.run_id):
        request = folder.request()
        ir = graph(request.configuration(), given.out)
        from babelrank.pipelines.kubeflow import fingerprint

        fingerprint.check(ir, given.fingerprint, given.compiled_by)
        config = request.configuration(decision.overrides)
        ran = run_node(graph(config, given.out), given.node, given.out, given.run_id)
        end("ran" if ran else "cached")
    step.say(f"{given.node}: {'done' if ran else 'taken from the cache'}")


def graph(config: Any, out: Path) -> Any:
    """The compiled graph of a configuration."""
    from babelrank.pipelines.graph import compiled
    from babelrank.pipelines.run import graph_function

    return compiled(graph_function(config)(config, out))


def run_node(ir: Any, name: str, out: Path, run_id: str) -> bool:
    """Runs a node, once in a run.

    Args:
        ir: The compiled graph.
        name: The node.
        out: The output folder.
        run_id: The run.

    Returns:
        False when its outputs came from the cache.

    Raises:
        BabelRankError: The graph has no such node.
    """
    from babelrank.pipelines.database import connection
    from babelrank.pipelines.launch import begin, launch
    from babelrank.pipelines.layout import Layout
    from babelrank.pipelines.tries import Tries

    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}
    if name not in nodes:
        raise BabelRankError(f"{name}: the graph has no such node; takes {', '.join(nodes)}.")
    begin(ir, run_id)
    database = connection(Layout(out))
    tries = Tries(database, ir.pipeline_info.id, run_id, name)
    if tries.succeeded():
        return True  # its process died before it could note that
    for folder in tries.left_behind(Layout(out).artifacts):
        step.say(f"{name}: removing what an earlier try left in {folder}")
        shutil.rmtree(folder)
    return launch(ir, nodes[name], database)


if __name__ == "__main__":
    step.run(main)
