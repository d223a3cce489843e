"""Options of the commands that talk to Kubeflow Pipelines, and what they stand for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.errors import InputError
from babelrank.pipelines import asking, options
from babelrank.pipelines.config import PipelineConfig

if TYPE_CHECKING:
    from babelrank.pipelines.kubeflow.client import Client
    from babelrank.pipelines.kubeflow.package import Package

PARAMETERS: dict[str, Any] = {
    "span": -1,
    "window": 0,
    "push": True,
    "force": False,
    "allow_missing": False,
    "scheduled": "",
}
"""The parameters of a run, and their values when nothing is given."""


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds what runs have in common."""
    options.add_configuration(parser)
    parser.add_argument(
        "--window", type=asking.positive, metavar="N", help="spans to read (spans.window)"
    )
    parser.add_argument("--no-push", action="store_true", help="judge the model, but push nothing")
    parser.add_argument("--force", action="store_true", help="retrain even if nothing is new")
    parser.add_argument(
        "--allow-missing", action="store_true", help="go on when a span in the window is missing"
    )
    add_place(parser)
    add_connection(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", metavar="NAME", help="group of runs (the pipeline's name)")
    parser.add_argument(
        "--service-account", metavar="NAME", help="of the pods (kubernetes.service_account)"
    )


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Adds how Kubeflow Pipelines is reached."""
    group = parser.add_argument_group(
        "Kubeflow Pipelines",
        "Each may also come from the environment: BABELRANK_KFP_ENDPOINT, _NAMESPACE, _TOKEN_FILE "
        "or _TOKEN, _CA_FILE, _UI; in a pod of the cluster there is nothing to give.",
    )
    group.add_argument("--endpoint", metavar="URL", help="such as http://localhost:8080")
    group.add_argument("--namespace", metavar="NAME", help="where there are several users")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="bearer token")
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authority, PEM")
    group.add_argument("--ui", metavar="URL", help="user interface, for links (the endpoint)")


def add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", choices=options.PIPELINES, nargs="?")
    parser.add_argument("--config", type=Path, metavar="FILE", help="only the runs of this one")
    parser.add_argument("--set", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    parser.add_argument("--experiment", metavar="NAME", help="only the runs of this experiment")
    parser.add_argument(
        "--limit", type=asking.positive, default=20, metavar="N", help="the newest N (20)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_connection(parser)


def parameters(given: argparse.Namespace) -> dict[str, Any]:
    """The parameters of a run, from options."""
    span = getattr(given, "newest", None)
    return {
        **PARAMETERS,
        "span": -1 if span is None else span,
        "window": given.window or 0,
        "push": not given.no_push,
        "force": given.force,
        "allow_missing": given.allow_missing,
    }


def client(given: argparse.Namespace) -> Client:
    """Kubeflow Pipelines; asked first of all, so that nobody waits for TensorFlow in vain."""
    from babelrank.pipelines.kubeflow.connection import connection

    names = ("endpoint", "namespace", "token_file", "ca_file", "ui")
    found = connection(**{name: getattr(given, name) for name in names})
    from babelrank.pipelines.kubeflow.client import Client

    return Client(found)


def package(given: argparse.Namespace, config: PipelineConfig, retrain: bool) -> Package:
    """The compiled pipeline: given, or made."""
    from babelrank.pipelines.kubeflow.package import Package

    file = getattr(given, "package", None)
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--package: cannot read {file}: {error}") from None
        return Package.read(text, str(file))
    from babelrank.pipelines.display import Display, quiet

    with quiet(Path(os.devnull)) as stream, Display(stream).waiting("Loading TensorFlow and TFX"):
        from babelrank.pipelines.kubeflow.compile import compile_pipeline

        text = compile_pipeline(config, retrain=retrain)
    return Package.read(text, config.name)
