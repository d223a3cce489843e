"""Run in a process of its own: trains, and writes what came of it to `result.npz`.

    python -m tests.distributed.job SETTINGS.json [--supervised]

SETTINGS has `task`, `data` (folder), `work` (folder of the training), `result` (a file), and
perhaps `strategy`, `changes` (of the configuration), `dropout` and `ruined` (a batch).
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.distributed import trainings

# isort: split
import numpy as np
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError, Interrupted
from babelrank.components.training import server
from babelrank.components.training import strategy as strategies
from babelrank.components.training.config import EarlyStoppingConfig, StrategyConfig
from babelrank.components.training.loop import FitResult, fit
from babelrank.components.training.progress import Lines
from babelrank.components.training.supervisor import supervise
from babelrank.components.training.worker import exit_code
from babelrank.components.training.workers import wait_for_all


def main() -> int:
    """Returns the exit code."""
    faulthandler.register(
        signal.SIGUSR1, all_threads=True
    )  # for whoever looks at a test that hangs
    settings: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    try:
        config = from_dict(StrategyConfig, settings.get("strategy", {}))
        if server.is_server(config):
            return server.serve(config)
        placement = strategies.create(config)
        result = train(settings, placement.strategy)
        write(result, Path(settings["result"].format(task=os.environ.get("WORKER", "0"))))
        wait_for_all(placement.strategy)
        server.dismiss()
    except (BabelRankError, Interrupted) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return exit_code(error)
    return 0


def train(settings: dict[str, Any], strategy: Any) -> FitResult:
    """The training of some settings."""
    changes = dict(settings.get("changes", {}))
    if "early_stopping" in changes:
        changes["early_stopping"] = EarlyStoppingConfig(**changes["early_stopping"])
    made = trainings.make(
        settings["task"], Path(settings["data"]), settings.get("dropout", 0.0), **changes
    )
    if "ruined" in settings:
        ruin(made, settings["ruined"])
    return fit(
        made.task,
        made.config,
        made.train,
        made.evaluation,
        settings["work"],
        strategy,
        Lines(interval=0.0),
    )


def ruin(made: trainings.Training, index: int) -> None:
    """The loss is no number on ranking batches with the first example of a batch of epoch 0."""
    known = float(made.train.get(0, index)["dense_features"][0, 0])
    step = made.task.train_step

    def ruined(inputs: Any, *arguments: Any) -> dict[str, Any]:
        logs = step(inputs, *arguments)
        bad = tf.reduce_any(inputs[0]["dense_features"][:, 0] == known)
        return {**logs, "loss": tf.where(bad, math.nan, logs["loss"])}

    made.task.train_step = ruined  # type: ignore[method-assign]


def write(result: FitResult, path: Path) -> None:
    """Weights by number, and `report`: JSON of the rest."""
    arrays = {f"w{i:03d}": np.array(w) for i, w in enumerate(result.model.get_weights())}
    report = {
        "history": result.history,
        "steps": result.steps,
        "resumed_from": result.resumed_from,
        "best_step": result.best_step,
        "best_metrics": result.best_metrics,
        "skipped": result.skipped,
    }
    np.savez(path, report=json.dumps(report), **arrays)


if __name__ == "__main__":
    if "--supervised" in sys.argv:
        command = [sys.executable, "-m", "tests.distributed.job", sys.argv[1]]
        sys.exit(supervise(command))
    os._exit(main())  # TensorFlow's teardown of several workers may hang
