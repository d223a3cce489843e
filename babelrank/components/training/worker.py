"""What one worker of a training of several machines runs.

    python -m babelrank.components.training.worker JOB.json

JOB.json is what `write_job` wrote: the `run_fn` of a task and its arguments. The environment
variable TF_CONFIG says which worker this is; Kubeflow's training operator sets it. All workers
need the same files under the same paths. Worker 0 (or the chief) writes checkpoints and the model;
the others end when it has. With parameter servers, they and the workers serve the chief, which runs
the job.

Exit codes: 0 done; 143 stopped by SIGTERM, or another worker is lost: start all of them again, and
they go on from the last checkpoint; 2 wrong configuration; 1 anything else.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from babelrank.components import durable
from babelrank.components.config import from_dict
from babelrank.components.errors import RESUME, ConfigError, WorkerLostError
from babelrank.components.training.config import StrategyConfig
from babelrank.components.training.supervisor import supervise

_MODULE = "babelrank.components.training.worker"
_DONE, _FAILED, _USAGE = 0, 1, 2


def write_job(path: str | os.PathLike[str], run_fn: str, fn_args: Mapping[str, Any]) -> None:
    """Writes what a worker reads.

    Args:
        path: The file; the workers must reach it.
        run_fn: Dotted name of a function that takes TFX's `FnArgs`, or what looks like one.
        fn_args: The attributes that it reads, as plain data.
    """
    text = json.dumps({"run_fn": run_fn, "fn_args": dict(fn_args)}, indent=1)
    durable.write_text(Path(path), text)  # a worker that starts just now reads all of it


def run_job(path: str | os.PathLike[str]) -> int:
    """Does what `write_job` wrote down, or serves the chief, which does it.

    Returns:
        The exit code.

    Raises:
        ConfigError: The file is missing, or is no job.
    """
    try:
        job = json.loads(Path(path).read_text(encoding="utf-8"))
        module, _, name = job["run_fn"].rpartition(".")
        arguments = SimpleNamespace(**job["fn_args"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: takes a job that babelrank wrote, JSON with run_fn and fn_args; got "
            f"{type(error).__name__}: {error}"
        ) from error
    # Also where it only serves: operations of libraries have to be known.
    run_fn: Callable[[Any], None] = getattr(importlib.import_module(module), name)
    from babelrank.components.training import server  # imports TensorFlow

    training = job["fn_args"].get("custom_config", {}).get("training", {})
    strategy = from_dict(StrategyConfig, training.get("strategy", {}), "training.strategy")
    if server.is_server(strategy):
        return server.serve(strategy)
    run_fn(arguments)
    server.dismiss()
    return _DONE


def exit_code(error: BaseException) -> int:
    """The exit code of a process that ends with an error."""
    if isinstance(error, (KeyboardInterrupt, WorkerLostError)):
        return RESUME
    return _USAGE if isinstance(error, ConfigError) else _FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a job; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m babelrank.components.training.worker", description=__doc__.split("\n")[0]
    )
    parser.add_argument("job", metavar="JOB.json", type=Path)
    parser.add_argument("--unsupervised", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.unsupervised:
        return supervise([sys.executable, "-m", _MODULE, "--unsupervised", str(options.job)])
    try:
        return run_job(options.job)
    except (Exception, KeyboardInterrupt) as error:
        traceback.print_exc()
        return exit_code(error)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without TensorFlow's teardown, in which lost workers can hang
