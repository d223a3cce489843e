"""The command `check`: whether a model can be served, as ServingCheck finds it in a run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.config import apply_override, from_dict
from babelrank.components.errors import InputError
from babelrank.pipelines import options
from babelrank.pipelines.running import PUSHED, REFUSED

if TYPE_CHECKING:
    from babelrank.components.serving.check.report import CheckReport, Latency
    from babelrank.components.serving.config import ServingConfig

HELP = """Loads the model in a fresh process and asks every signature: one example and many, none,
unknown words, missing features, long and hostile texts. Answers have to be finite and the same
through every signature, alone and in a batch; with --reference they have to be the trainer's.
Measures time and memory, and compares the operations with those of TensorFlow Serving."""

EPILOG = """exit codes:
  0  the model can be served
  1  there is no such model or file
  2  wrong usage or configuration
  3  the model cannot be served, and why"""


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    check = commands.add_parser(
        "check",
        help="say whether a model can be served, and how fast it is",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("model", type=Path, metavar="MODEL_DIR", help="an exported model")
    check.add_argument(
        "--requests",
        type=Path,
        metavar="FILE",
        help="examples to ask: TFRecord, JSON lines of rows, or sentences; else a made-up one",
    )
    check.add_argument(
        "--reference", type=Path, metavar="FILE", help="outputs of the trainer, from a run"
    )
    check.add_argument(
        "--warmup", type=Path, metavar="FILE", help="write warm-up requests for TensorFlow Serving"
    )
    check.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of the section serving, such as max_p50_ms=5; may be repeated",
    )
    check.set_defaults(run=_check)


def lines(report: CheckReport) -> list[str]:
    """The report in plain words; the first line alone says how the check ended."""
    said = ["SERVABLE" if report.ok else "NOT SERVABLE"]
    for finding in report.findings:
        said.append(f"  {'ok ' if finding.ok else 'NO '} {finding.text}")
        if finding.request and not finding.ok:
            said.append(f"      request: {finding.request}")
    said += [f"  {_speed(one)}" for one in report.latencies]
    if report.load_seconds:
        said.append(
            f"  loaded {report.model_mib:,.1f} MiB in {report.load_seconds:.1f} s; at most "
            f"{report.memory_mib:,.0f} MiB of memory"
        )
    return said


def _speed(one: Latency) -> str:
    size = "one example" if one.batch == 1 else f"{one.batch} examples"
    return (
        f"{one.signature}, {size}: p50 {one.p50_ms:.3g} ms, p99 {one.p99_ms:.3g} ms "
        f"({one.requests} requests)"
    )


def _check(given: argparse.Namespace) -> int:
    from babelrank.components.serving import manifest, model_folder
    from babelrank.components.serving.check.job import Job
    from babelrank.components.serving.check.supervisor import check

    for path in (given.requests, given.reference):
        if path is not None and not path.is_file():
            raise InputError(f"{path}: there is no such file.")
    if given.warmup is not None and not given.warmup.resolve().parent.is_dir():
        raise InputError(f"{given.warmup}: there is no such folder; make it first.")
    options.interrupt_on_sigterm()  # or the process of the check would go on without its limits
    model = model_folder.newest(given.model).resolve()
    manifest.verify_if_sealed(model)
    job = Job(
        model=model,
        config=_config(given.set),
        requests=_resolved(given.requests),
        reference=_resolved(given.reference),
        warmup=_resolved(given.warmup),
    )
    report = check(job)
    sys.stdout.write("\n".join(lines(report)) + "\n")
    return PUSHED if report.ok else REFUSED


def _config(overrides: list[str]) -> ServingConfig:
    from babelrank.components.serving.config import ServingConfig

    plain: dict[str, Any] = {}
    for assignment in overrides:
        apply_override(plain, assignment.removeprefix("serving."))
    return from_dict(ServingConfig, plain, "serving")


def _resolved(path: Path | None) -> Path | None:
    return None if path is None else path.resolve()
