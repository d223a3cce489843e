"""The command that compiles a pipeline for Kubeflow."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from babelrank.pipelines import options


def add(commands: Any) -> None:
    """Adds the command."""
    compile_ = commands.add_parser(
        "compile",
        help="write a pipeline as Kubeflow Pipelines takes it",
        description="Writes YAML for Kubeflow Pipelines 2.16 or newer: one container task for each "
        "step. The section kubernetes of the configuration says what the steps get.",
    )
    options.add_configuration(compile_)
    compile_.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to (the terminal)"
    )
    compile_.add_argument(
        "--retrain",
        action="store_true",
        help="as babelrank retrain: warm start, and nothing to do without a new span",
    )
    compile_.set_defaults(run=_compile)


def _compile(given: argparse.Namespace) -> int:
    config = options.configuration(given)
    from babelrank.pipelines.display import Display, quiet

    with quiet(Path(os.devnull)) as stream, Display(stream).waiting("Loading TensorFlow and TFX"):
        from babelrank.pipelines.kubeflow.compile import compile_pipeline

        text = compile_pipeline(config, retrain=given.retrain)
    if given.output is None:
        sys.stdout.write(text)
    else:
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{given.output} is written; babelrank submit runs it.\n")
    return 0
