"""`babelrank predict --input`: predictions for files of millions of rows, which resume."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.config import from_dict, load_yaml, to_dict
from babelrank.components.durable import write_text
from babelrank.components.errors import ConfigError
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.pipelines import beam, options
from babelrank.pipelines.prediction_progress import shown
from babelrank.pipelines.running import PUSHED

if TYPE_CHECKING:
    from babelrank.components.ingest.summary import Summary
    from babelrank.components.serving.batch.job import Job
    from babelrank.components.serving.batch.shards import InputFile

SETTINGS = "job.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what is said about files to the parser of `predict`."""
    files = parser.add_argument_group("whole files, in place of standard input")
    files.add_argument(
        "--input",
        metavar="FILES",
        help="a path or a quoted glob; .gz, .bz2, .xz and .zst too (TFRecords: .gz)",
    )
    files.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="predictions and quarantine; after an interruption the same command goes on",
    )
    files.add_argument(
        "--format",
        help="csv, tsv, jsonl, parquet, tfrecord or text, where the names of files do not say",
    )
    files.add_argument("--delimiter", metavar="TEXT", help="between columns (csv: , tsv: a tab)")
    files.add_argument(
        "--columns", metavar="NAME,…", help="names of the columns of csv files without a header"
    )
    files.add_argument(
        "--keep", metavar="COLUMN,…", help="columns to write beside each prediction, as texts"
    )
    files.add_argument(
        "--write", choices=("jsonl", "parquet"), help="format of the predictions (jsonl, gzip)"
    )
    files.add_argument(
        "--rows-per-shard",
        type=int,
        metavar="N",
        help="rows in a file of predictions, about (200,000 rows; 5,000 lines)",
    )
    files.add_argument(
        "--max-characters", type=int, metavar="N", help="longer texts are bad rows (10,000)"
    )
    files.add_argument(
        "--max-bad-fraction",
        type=float,
        metavar="X",
        help="more bad rows than this are an error, after the good ones were predicted (0.01)",
    )
    files.add_argument("--workers", type=int, metavar="N", help="processes on this machine (1)")
    files.add_argument(
        "--config", type=Path, metavar="FILE", help="a pipeline's YAML; its `beam` says where"
    )


def check_absent(given: argparse.Namespace) -> None:
    """Nothing, if no option was given that only files take.

    Raises:
        ConfigError: One was.
    """
    names = (
        *("output", "format", "delimiter", "columns", "keep", "write"),
        *("rows_per_shard", "max_characters", "max_bad_fraction", "workers", "config"),
    )
    for name in names:
        if getattr(given, name) is not None:
            raise ConfigError(f"--{name.replace('_', '-')}: goes with --input.")


def predict(given: argparse.Namespace) -> int:
    """Predicts all files; returns the exit code.

    Raises:
        ConfigError: The options do not fit each other, the model, or what was begun.
        InputError: A file is missing or cannot be read, or too many rows are bad.
        ModelError: There is no model, or it was altered after its push.
    """
    if given.output is None:
        raise ConfigError("--output: missing; --input needs a folder for the predictions.")
    config = _batch_config(given)
    where = _beam(given)
    workers = _workers(where)
    options.interrupt_on_sigterm()
    from babelrank.pipelines.display import Display, quiet
    from babelrank.pipelines.lease import locked

    with locked(given.output), quiet(given.output / "log.txt") as stream:
        display = Display(stream)
        with display.waiting("Loading Beam"):
            from babelrank.components.serving import manifest, model_folder
            from babelrank.components.serving.batch import job as batch_job
            from babelrank.components.serving.batch import model as batch_model

            model = model_folder.newest(given.model)
            sealed = manifest.verify_if_sealed(model)
            digest = sealed.digest if sealed else manifest.digest(model)
            task = batch_model.check(model, config)
            files = batch_job.find(_pattern(given.input))
            for file in files:
                config.format_of(file.path, task)
        job = _job(model, digest, task, config, given)
        job.shards.tidy()
        before = _done(files, job)
        items = batch_job.to_do(files, job, workers)
        begun = time.monotonic()
        if items:
            display.say(_begun(len(files), before))
            try:
                with shown(stream, job, files, before):
                    _work(items, job, beam.arguments(where))
            except KeyboardInterrupt:
                display.say("Interrupted. The same command goes on from here.")
                raise
        summary = batch_job.outcome(files, job)
        job.shards.tidy()
        others = sorted(job.shards.names() - {file.name for file in files})
        seconds = time.monotonic() - begun
    sys.stdout.write(words(summary, given.output, summary.read - before, seconds))
    sys.stdout.write(_beside(others))
    sys.stdout.flush()
    summary.check_bad_fraction(config.max_bad_fraction, "--max-bad-fraction", "the input")
    return PUSHED


def _batch_config(given: argparse.Namespace) -> BatchConfig:
    values: dict[str, Any] = {
        "format": given.format,
        "delimiter": given.delimiter,
        "column_names": _names(given.columns),
        "keep": _names(given.keep),
        "nbest": given.nbest,
        "batch_size": given.batch_size,
        "rows_per_shard": given.rows_per_shard,
        "output": given.write,
        "max_characters": given.max_characters,
        "max_bad_fraction": given.max_bad_fraction,
    }
    said = {name: value for name, value in values.items() if value is not None}
    return from_dict(BatchConfig, said)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _beam(given: argparse.Namespace) -> beam.BeamConfig:
    """Where Beam runs."""
    if given.workers is not None and given.workers < 1:
        raise ConfigError(f"--workers: got {given.workers}; takes 1 or more.")
    if given.config is None:
        if (given.workers or 1) == 1:
            return beam.BeamConfig()
        several: Any = {"runner": beam.MULTI_PROCESSING, "workers": given.workers}
        return beam.BeamConfig(**several)
    if given.workers is not None:
        raise ConfigError("--workers: the `beam` section of --config says where Beam runs.")
    from babelrank.components.serving import model_folder

    task = model_folder.task_of(model_folder.newest(given.model))
    return load_yaml(options.PIPELINES[task], given.config).beam


def _workers(where: beam.BeamConfig) -> int:
    """About how many workers there will be, at the most."""
    if where.runner == beam.MULTI_PROCESSING:
        return where.workers or os.cpu_count() or 1
    return where.max_workers or where.parallelism or where.workers or 1


def _job(
    model: Path, digest: str, task: str, config: BatchConfig, given: argparse.Namespace
) -> Job:
    """The job; its settings are kept in the folder, and others are refused there.

    Files that have come since are predicted too, if the same `--input` names them.
    """
    from babelrank.components.serving.batch.job import Job
    from babelrank.components.serving.batch.shards import Shards

    out: Path = given.output
    settings = to_dict(config)
    for name in ("max_bad_fraction", "workers"):  # make no other predictions
        del settings[name]
    settings |= {"input": _pattern(given.input), "model": digest}
    path = out / SETTINGS
    if path.exists():
        then = json.loads(path.read_text(encoding="utf-8"))
        for name, now in settings.items():
            if then.get(name) != now:
                raise ConfigError(
                    f"{out} was begun with another {name}: {then.get(name)!r:.80} then, "
                    f"{now!r:.80} now. Give the same, or choose another --output."
                )
    else:
        write_text(path, json.dumps(settings, indent=1))
    shards = Shards(str(out / "predictions"), str(out / "quarantine"), config.output)
    return Job(str(model), task, config, shards, note_progress=True)


def _pattern(text: str) -> str:
    """A path or glob that does not depend on the folder that the command is given in."""
    return text if "://" in text else os.path.abspath(text)


def _begun(files: int, before: int) -> str:
    done = f"; {before:,} rows were done before" if before else ""
    return f"Predicting {files:,} file{'s' if files > 1 else ''}{done} …"


def _done(files: Sequence[InputFile], job: Job) -> int:
    """Rows that need not be predicted again."""
    return sum(part.summary.read for f in files for part in job.shards.finished(f).values())


def _work(items: Sequence[Any], job: Job, arguments: list[str]) -> None:
    """Lets Beam do the work in another thread, for in its own it makes errors of interruptions."""
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from babelrank.components.serving.batch import job as batch_job

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    pipeline = apache_beam.Pipeline(options=PipelineOptions(arguments))
    ThreadPoolExecutor(1).submit(batch_job.work, items, job, pipeline).result()


def _beside(others: Sequence[str]) -> str:
    """What is said of predictions of files that the input names no more."""
    if not others:
        return ""
    files = "a file" if len(others) == 1 else f"{len(others):,} files"
    return (
        f"  warning: there are also predictions of {files} that --input names no more, such as "
        f"{others[0]}. Whoever reads the folder reads them too.\n"
    )


def words(summary: Summary, out: Path, rows: int, seconds: float) -> str:
    """What happened, for people.

    Args:
        summary: The counts of all rows.
        out: The output folder.
        rows: Rows of this very run.
        seconds: Its duration.
    """
    from babelrank.components.serving.batch.writer import PREDICTED

    bad = sum(summary.quarantined.values())
    speed = f", {rows / seconds:,.0f} rows/s" if rows else ", nothing was left to do"
    good = summary.written[PREDICTED]
    plural = "" if good == 1 else "s"
    lines = [f"{good:,} row{plural} predicted, {bad:,} bad ({seconds:.1f} s{speed})."]
    for reason, count in summary.quarantined.most_common():
        path, row = summary.examples[reason]
        lines.append(
            f"  {reason}: {count:,}, such as {path}, {row.location.position}: {row.detail}"
        )
    lines.append(f"  predictions: {out / 'predictions'}")
    if bad:
        lines.append(f"  quarantine: {out / 'quarantine'}")
    return "\n".join(lines) + "\n"
