"""What the steps of a run on a cluster have in common: how they begin, fail and end."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from babelrank.components.errors import RESUME, BabelRankError, ConfigError
from babelrank.components.evaluation.report import StepSummary
from babelrank.pipelines.kubeflow.run_folder import RunFolder
from babelrank.pipelines.memory import PeakMemory
from babelrank.pipelines.options import interrupt_on_sigterm
from babelrank.pipelines.record import message

_DONE, _FAILED, _USAGE = 0, 1, 2


def parser(what: str) -> argparse.ArgumentParser:
    """The arguments that every step takes."""
    made = argparse.ArgumentParser(description=what)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    made.add_argument("--run-id", required=True, metavar="ID", help="the run")
    return made


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> Any:
    """The arguments of a step; relative paths are from now on relative to `kubernetes.root`."""
    given = parser.parse_args(arguments)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    os.chdir(given.out.parent)
    return given


def truth(text: str) -> bool:
    """A truth value as Kubeflow writes it.

    Raises:
        ValueError: It is none.
    """
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def say(text: str) -> None:
    """Writes a line into the pod's log."""
    sys.stdout.write(f"babelrank: {text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def recorded(folder: RunFolder, name: str) -> Iterator[Callable[[str], None]]:
    """Notes in the run's folder how a step goes; gives a function that takes its state."""
    folder.begin(name)
    begun = time.monotonic()
    states: list[Any] = ["ran"]
    memory = PeakMemory()

    def end(state: Any, error: str | None = None) -> None:
        seconds, peak = time.monotonic() - begun, round(memory.peak_mib, 1)
        folder.end(
            StepSummary(name=name, state=state, seconds=seconds, error=error, memory_mib=peak)
        )

    try:
        with memory:
            yield states.append
    except BaseException as error:
        end("failed", message(error))
        raise
    end(states[-1])


def run(main: Callable[[Sequence[str] | None], None]) -> NoReturn:
    """Runs a step as a process, and ends it with the exit code that fits."""
    interrupt_on_sigterm()
    warnings.simplefilter("ignore", FutureWarning)  # of libraries, about versions of Python
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        main(None)
        code = _DONE
    except ConfigError as error:
        code = _complain(f"configuration: {error}", _USAGE)
    except BabelRankError as error:
        code = _complain(message(error), _FAILED)
    except KeyboardInterrupt as error:
        code = _complain(str(error) or "interrupted; a second try goes on from here.", RESUME)
    except SystemExit as error:  # argparse
        code = _USAGE if error.code else _DONE
    except Exception:
        traceback.print_exc()
        code = _FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without TensorFlow's teardown, which is slow and can hang


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"babelrank: {text}\n")
    return code
