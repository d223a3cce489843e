"""The `babelrank` command. TFX is imported only by commands that need it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import babelrank
from babelrank.components.config import commented_yaml
from babelrank.components.errors import RESUME, BabelRankError, ConfigError
from babelrank.pipelines import (
    asking,
    checking,
    cluster,
    compiling,
    options,
    reporting,
    retrain,
    serving,
    tuning,
    upkeep,
)
from babelrank.pipelines.options import PIPELINES
from babelrank.pipelines.running import EXIT_CODES, FAILED, PUSHED, USAGE, run
from babelrank.pipelines.tuning_request import METHODS, Request


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        code: int = given.run(given)
        sys.stdout.flush()
    except ConfigError as error:
        _complain(f"configuration: {error}")
        return USAGE
    except BabelRankError as error:
        _complain(str(error))
        return FAILED
    except KeyboardInterrupt:
        _complain("interrupted.")
        return RESUME
    except BrokenPipeError:  # such as `| head`; what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        _complain(str(error))
        return FAILED
    return code


def entry() -> NoReturn:
    """The console script."""
    try:
        code = main()
    except Exception:  # a fault of ours: show it, and still leave without the noise
        traceback.print_exc()
        code = FAILED
    leave(code)


def leave(code: int) -> NoReturn:
    """Ends the process without TensorFlow's teardown, which is slow and prints errors."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="babelrank",
        description="Train, judge and push translation and ranking models with TFX.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=babelrank.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    retrain.add(commands)
    upkeep.add(commands)
    _add_tune(commands)
    config = commands.add_parser("config", help="print the default configuration, explained")
    config.add_argument("pipeline", choices=PIPELINES)
    config.set_defaults(run=_config)
    asking.add(commands)
    checking.add(commands)
    serving.add(commands)
    reporting.add(commands)
    compiling.add(commands)
    cluster.add(commands)
    _add_doctor(commands)
    return parser


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run a pipeline on this machine",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_configuration(run)
    options.add_span(run)
    options.add_out(run)
    options.add_force_bless(run)
    run.set_defaults(run=_run)


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser(
        "tune",
        help="search for the values of the configuration that train the best model",
        description=tuning.HELP,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_configuration(tune)
    options.add_span(tune)
    options.add_out(tune)
    tune.add_argument("--space", type=Path, required=True, metavar="FILE", help="YAML file")
    tune.add_argument("--search", choices=METHODS, default=METHODS[0], help="how (random)")
    tune.add_argument(
        "--trials",
        type=asking.positive,
        metavar="N",
        help="trials at the most (random: 20; hyperband: as many as it takes)",
    )
    tune.add_argument(
        "--metric", metavar="NAME", help="metric to compare by (training.early_stopping.metric)"
    )
    tune.add_argument(
        "--seed", type=asking.positive, default=42, metavar="N", help="seed of the search (42)"
    )
    tune.set_defaults(run=_tune)


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say what is installed and what is missing, or test a strategy of training",
        description="Without options: what is installed, which devices there are, what is missing. "
        "With --strategy: lists the devices, trains some steps of each task under the strategy and "
        "on one device, and compares the losses. Several workers run it together, each with its "
        "TF_CONFIG.",
    )
    doctor.add_argument("--strategy", metavar="NAME", help="as training.strategy.name")
    doctor.add_argument("--device", metavar="KIND", help="auto, cpu or gpu")
    doctor.add_argument(
        "--devices", type=asking.positive, metavar="N", help="devices that mirrored uses"
    )
    doctor.set_defaults(run=_doctor)


def _run(given: argparse.Namespace) -> int:
    config = options.forced(options.configuration(given), given.force_bless)
    return run(config, options.output(given, config))


def _tune(given: argparse.Namespace) -> int:
    config = options.configuration(given)
    request = Request(
        space=given.space,
        method=given.search,
        trials=given.trials,
        metric=given.metric,
        seed=given.seed,
    )
    options.interrupt_on_sigterm()
    return tuning.tune(config, request, options.output(given, config))


def _config(given: argparse.Namespace) -> int:
    sys.stdout.write(commented_yaml(PIPELINES[given.pipeline]))
    return PUSHED


def _doctor(given_options: argparse.Namespace) -> int:
    warnings.simplefilter("ignore", FutureWarning)
    logging.disable(logging.WARNING)  # what libraries say on import is not about health
    names = ("name", "device", "devices")
    values = (given_options.strategy, given_options.device, given_options.devices)
    given = {name: v for name, v in zip(names, values, strict=True) if v is not None}
    from babelrank.pipelines import doctor

    lines, healthy = doctor.examine_strategy(given) if given else doctor.examine()
    sys.stdout.write("\n".join(lines) + "\n")
    return PUSHED if healthy else FAILED


def _complain(text: str) -> None:
    sys.stderr.write(f"babelrank: {text}\n")


if __name__ == "__main__":
    entry()
