"""`babelrank tune`: a search for the values of the configuration that train the best model.

What it leaves in the output folder: `trials.json`, `best.yaml`, and `trials` with the learning
curves. A search that was interrupted, however harshly, goes on: trials that have ended are kept,
the one that was running resumes from its checkpoint.

Nothing heavy is imported before the configuration and the space are found to be right.
"""

from __future__ import annotations

import sys
from pathlib import Path

from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.tuning_request import Request, checked

HELP = """Trains many models, each with other values of some keys of the configuration, and
writes the best ones as a configuration that `babelrank run` takes. Which keys and values is said
by a YAML file:

  training.optimizer.learning_rate: {min: 0.0001, max: 0.01, scale: log}
  model.embedding_dim: [8, 16, 32]
  training.batch_size: {min: 128, max: 1024, step: 128}

--search random draws values at random, --trials times; hyperband trains many trials for a short
time and goes on with the best third of them for longer, up to training.epochs. Trials are
compared by the eval split. The same command again goes on with an interrupted search, and with
more --trials also with a finished one."""


def tune(config: PipelineConfig, request: Request, out: Path) -> int:
    """Searches with a display; returns the exit code: 1 if no trial completed.

    Args:
        config: What all trials have in common.
        request: The search.
        out: Output folder. That of `babelrank run` will do, and its examples are reused.

    Raises:
        ConfigError: The configuration, the space or the output folder does not fit the search.
        BabelRankError: The examples cannot be made, or too many trials came to nothing.
    """
    from babelrank.pipelines.display import Display, quiet

    wanted = checked(config, request)
    log = out / "log.txt"
    try:
        with quiet(log) as stream:
            display = Display(stream)
            with display.waiting("Loading TensorFlow and TFX"):
                from babelrank.pipelines.tuner import Tuner

            tuner = Tuner(wanted, out.absolute(), display)
            lines = tuner.run()
    except KeyboardInterrupt:
        sys.stdout.write("Interrupted. The same command goes on from here.\n")
        raise
    sys.stdout.write("\n".join(["", *lines, f"  log: {log}", ""]))
    return 0 if tuner.found else 1
