"""`make demo`: both pipelines on sample data, from nothing to a verdict and a report.

The click log is simulated, so that the best reachable AUC is known and the report can say how
near the model came. The parallel text is real: the names of emoji, English and Spanish.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from babelrank.components.config import load_yaml
from babelrank.pipelines import cli, emoji_names, running
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.simulator import SimulatorConfig, configuration, simulate

C = TypeVar("C", bound=PipelineConfig)

OUT = Path("out/demo")
MALFORMED = 0.003
EXAMPLE = "woman astronaut dark skin tone"
MEASURES = {"ranking": "auc", "translation": "bleu"}


def main() -> int:
    """Runs the demo; returns the exit code of the first pipeline that did not push."""
    codes = [_ranking(), _translation()]
    _say("", "Both verdicts:", *(_verdict(task) for task in MEASURES))
    return next((code for code in codes if code), 0)


def _ranking() -> int:
    clicks = OUT / "clicks"
    _say(f"Ranking: simulating three days of clicks in {clicks}")
    simulation = simulate(SimulatorConfig(malformed_fraction=MALFORMED), clicks)
    settings = {
        "name": "demo-ranking",
        **configuration(clicks),
        "spans": {"window": 3},
        "training": {"epochs": 6},
        "evaluation": {"min_auc": 0.7, "max_auc_drop": 0.005, "slices": ["device"]},
    }
    config = _written(RankingConfig, settings)
    served = simulation.spans[-1].served  # the newest span is the test split
    return running.run(config, OUT / "ranking", {"auc": served.auc, "log_loss": served.log_loss})


def _translation() -> int:
    folder = OUT / "emoji"
    pairs = emoji_names.write(folder)
    _say("", f"Translation: {pairs:,} names of emoji, English and Spanish, in {folder}")
    settings = {
        "name": "demo-translation",
        **emoji_names.configuration(folder),
        "training": {
            "tokens_per_batch": 2048,
            "steps": 800,
            "evaluate_every": 200,
            "optimizer": {"learning_rate": 0.002, "warmup_steps": 200},
        },
        "evaluation": {"min_bleu": 60, "max_bleu_drop": 3, "min_slice_examples": 30},
    }
    code = running.run(_written(TranslationConfig, settings), OUT / "translation")
    if code == running.PUSHED:
        program = Path(sys.executable).parent / "babelrank"
        _say(f"Try: echo '{EXAMPLE}' | {program} predict {OUT / 'translation' / 'serving'}")
    return code


def _written(cls: type[C], settings: Mapping[str, Any]) -> C:
    """The configuration, by way of a file that one can look at and change."""
    path = OUT / f"{cls.task}.yaml"
    path.write_text(yaml.safe_dump(dict(settings), sort_keys=False), encoding="utf-8")
    _say(f"{cls.task.capitalize()}: the configuration is {path}")
    return load_yaml(cls, path)


def _verdict(task: str) -> str:
    """What a pipeline came to, in a line."""
    run = json.loads((OUT / task / "run.json").read_text(encoding="utf-8"))
    value = run["metrics"].get(MEASURES[task])
    figure = "" if value is None else f", {MEASURES[task]} {value:.4g}"
    return f"  {task:<12}{run['status']}{figure}; report: {OUT / task / 'report.html'}"


def _say(*lines: str) -> None:
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    cli.leave(code)
