"""The command that serves models: `serve`. It moves to the server's own environment by itself."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import babelrank
from babelrank.components.errors import BabelRankError, ConfigError, ModelError
from babelrank.components.serving import model_folder
from babelrank.components.serving.server.settings import Limits, Settings

PYTHON = "BABELRANK_SERVE_PYTHON"
"""Names the Python of the server's environment, where that is not .venv-serve."""

ENVIRONMENT = ".venv-serve"

_MOVED = "BABELRANK_SERVE_MOVED"
"""Keeps a process that has moved from moving again."""

SERVE = f"""Serves models over HTTP on this machine: TensorFlow Serving's and KServe's V1 protocol
(POST /v1/models/NAME:predict), the open inference protocol V2 (POST /v2/models/NAME/infer), figures
for Prometheus (/metrics), and a page to type into (/).

A version that is pushed to a model's folder answers as soon as it is loaded and warm; no request
fails meanwhile. A version that was altered since its push, or cannot be loaded, is refused and the
one before goes on. SIGTERM and Ctrl-C let the requests under way finish.

The server lives in an environment of its own, {ENVIRONMENT}, which `make serve-env` makes;
${PYTHON} names the Python of another one."""


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    serve = commands.add_parser(
        "serve",
        help="serve models over HTTP, with a page to type into",
        description=SERVE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "models",
        type=Path,
        nargs="*",
        metavar="MODEL_DIR",
        help="folder of versions (`serving` in the output folder of a run), or one version; named "
        "after its task",
    )
    serve.add_argument(
        "--model",
        type=_named,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="the same, under this name; may be repeated",
    )
    serve.add_argument("--host", default=Settings.host, help=f"address ({Settings.host})")
    serve.add_argument(
        "--port", type=int, default=Settings.port, metavar="N", help=f"0: any ({Settings.port})"
    )
    for name, text in (
        ("unverified", "serve versions that have no manifest, such as those others pushed"),
        ("wait", "wait for a first version where there is none yet"),
        ("log-requests", "one line in the log for each request"),
    ):
        serve.add_argument(f"--{name}", action="store_true", help=text)
    serve.add_argument(
        "--poll-seconds",
        type=float,
        default=Settings.poll_seconds,
        metavar="N",
        help=f"between two looks for a new version ({Settings.poll_seconds:g})",
    )
    serve.add_argument(
        "--grace-seconds",
        type=int,
        default=Settings.grace_seconds,
        metavar="N",
        help=f"for requests under way when it is stopped ({Settings.grace_seconds})",
    )
    for field in dataclasses.fields(Limits):
        serve.add_argument(
            _flag(field.name),
            type=type(field.default),
            default=field.default,
            metavar="N",
            help=f"{field.metadata['help']} ({field.default:g})",
        )
    serve.set_defaults(run=_serve)


def _serve(given: argparse.Namespace) -> int:
    settings = settings_of(given)
    if importlib.util.find_spec("kserve") is None:
        move(settings)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says of missing GPUs
    from babelrank.components.serving.server.process import serve

    serve(settings)
    return 0


def settings_of(given: argparse.Namespace) -> Settings:
    """What the server must know.

    Raises:
        ConfigError: An option is wrong, or two models have one name.
        ModelError: A folder holds no model to name it after.
    """
    models: dict[str, Path] = {}
    for name, folder in [*((_task(path), path) for path in given.models), *given.model]:
        if name in models:
            raise ConfigError(
                f"{folder}: is called {name}, as {models[name]} is; name them: --model NAME=DIR."
            )
        models[name] = folder.absolute()
    limits = {field.name: getattr(given, field.name) for field in dataclasses.fields(Limits)}
    return Settings(
        models=models,
        host=given.host,
        port=given.port,
        unverified=given.unverified,
        wait=given.wait,
        poll_seconds=given.poll_seconds,
        grace_seconds=given.grace_seconds,
        log_requests=given.log_requests,
        limits=Limits(**limits),
    )


def arguments(settings: Settings) -> list[str]:
    """The command line that asks for these settings."""
    line = ["serve", "--host", settings.host, "--port", str(settings.port)]
    for name, folder in settings.models.items():
        line += ["--model", f"{name}={folder}"]
    for name in ("unverified", "wait", "log_requests"):
        line += [_flag(name)] if getattr(settings, name) else []
    for name in ("poll_seconds", "grace_seconds"):
        line += [_flag(name), str(getattr(settings, name))]
    for field in dataclasses.fields(Limits):
        line += [_flag(field.name), str(getattr(settings.limits, field.name))]
    return line


def move(settings: Settings) -> None:
    """Becomes the same command in the server's environment.

    Raises:
        BabelRankError: There is no such environment.
    """
    beside = Path(babelrank.__file__).parents[1] / ENVIRONMENT / "bin" / "python"
    python = Path(os.environ[PYTHON]) if os.environ.get(PYTHON) else beside
    if python.exists() and _MOVED not in os.environ:
        command: Sequence[str] = [str(python), "-m", "babelrank.pipelines.cli"]
        sys.stderr.flush()
        os.execve(python, [*command, *arguments(settings)], {**os.environ, _MOVED: "1"})
    what = "has no KServe" if python.exists() else "is not there"
    raise BabelRankError(
        f"serve: KServe is not installed here, and {python} {what}. `make serve-env` in the "
        f"project's folder makes the server's environment; {PYTHON} names the Python of another."
    )


def _task(path: Path) -> str:
    try:
        return model_folder.task_of(model_folder.newest(path))
    except ModelError as error:
        raise ModelError(f"{error} To wait for a first version: --wait --model NAME=DIR.") from None


def _named(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"got {text}; takes NAME=DIR")
    return name, Path(folder)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
