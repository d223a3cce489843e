"""The process of a serving check: loads one model as a server would, and asks it.

    python -m babelrank.components.serving.check.process FOLDER

The folder holds a `Job`; the report goes into `result` there. TFX and Beam are not imported: what
a server lacks must not be here either. `supervisor` starts it and watches its memory and its time.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import os
import platform
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import babelrank  # noqa: F401  before TensorFlow
from babelrank.components.durable import write_text
from babelrank.components.errors import BabelRankError, InputError
from babelrank.components.serving import model_folder, tf_serving
from babelrank.components.serving.check.job import ERROR, RESULT, Job, Stage
from babelrank.components.serving.check.memory import MIB, peak_mib
from babelrank.components.serving.check.report import CheckFinding, CheckReport, Latency

if TYPE_CHECKING:
    from babelrank.components.serving.model_rows import RowColumn
    from babelrank.components.serving.reference import Reference

_EVERY = 1.0  # seconds between looks at whether somebody still waits


class Check:
    """One check, as far as it is.

    Args:
        job: What to check.
        folder: Folder of the job.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self._job, self._folder = job, folder
        self._at = Stage()
        self._findings: list[CheckFinding] = []
        self._figures: dict[str, Any] = {}

    def run(self) -> CheckReport:
        """Loads the model and asks it everything; whatever the model does then is a finding.

        Raises:
            InputError: The requests or the reference outputs cannot be read.
        """
        try:
            given = self._given()
            self._operations()
            self._ask(self._load(), given)
        except InputError:
            raise
        except BabelRankError as error:
            self._add(False, str(error))
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            what = f"{type(error).__name__}: {lines[0][:300] if lines else 'no message'}"
            self._add(False, f"While {self._at.doing}: {what}", self._at.request)
        self._memory()
        refused = [one for one in self._findings if not one.ok]
        kept = [one for one in self._findings if one.ok]
        return CheckReport(ok=not refused, findings=(*refused, *kept), command="", **self._figures)

    def _add(self, ok: bool, text: str, request: str = "") -> None:
        self._findings.append(CheckFinding(ok=ok, text=text, request=request))

    def _stage(self, doing: str, request: str = "") -> None:
        self._at = Stage(doing=doing, request=request)
        self._at.save(self._folder)

    def _given(self) -> _Given:
        """What is to be asked, and what is to be answered."""
        self._stage("reading the requests")
        from babelrank.components.serving.check import doors as check_doors
        from babelrank.components.serving.check import requests as check_requests
        from babelrank.components.serving.reference import Reference

        job = self._job
        columns = check_doors.description(job.model)[1]
        examples = check_requests.read(job.requests, columns, job.config.requests)
        if job.requests is None:
            text = "There were no real examples to ask: all requests are made from one made-up one."
            self._add(True, text)
        reference = None if job.reference is None else Reference.load(job.reference)
        return _Given(columns, examples, reference)

    def _operations(self) -> None:
        """Which operations the model has, and whether TensorFlow Serving has them too."""
        self._stage("reading the operations of the model")
        from babelrank.components.serving import operations

        names, version = operations.used(self._job.model), self._job.config.tf_serving
        self._figures["operations"] = len(names)
        if tf_serving.needs_text(names):
            importlib.import_module("tensorflow_text")
        if version is None:
            self._add(True, "serving.tf_serving: null: operations were not compared.")
            return
        lacking = tf_serving.missing(names, version)
        if not lacking:
            text = f"TensorFlow Serving {version} has all {len(names)} operations of the model."
            self._add(True, text)
        for one in lacking:
            self._add(False, _lacking(one, version))

    def _load(self) -> Any:
        self._stage("loading the model")
        begun = time.perf_counter()
        loaded = model_folder.load(self._job.model)
        self._figures["load_seconds"] = round(time.perf_counter() - begun, 3)
        files = [path.stat().st_size for path in self._job.model.rglob("*") if path.is_file()]
        self._figures["model_mib"] = round(sum(files) / MIB, 3)
        return loaded

    def _ask(self, loaded: Any, given: _Given) -> None:
        """Everything that needs the loaded model."""
        from babelrank.components.serving import warmup
        from babelrank.components.serving.check import doors as check_doors
        from babelrank.components.serving.check.questions import Questions

        job, config, examples = self._job, self._job.config, given.examples
        doors, strange = check_doors.doors(loaded, job.model)
        for name in strange:
            self._add(True, f"{name}: not asked: it takes neither examples nor described columns.")
        if not doors:
            self._add(False, "The model has no signature that can be asked.")
            return
        questions = Questions(doors, config.tolerance, self._add, self._stage)
        questions.cases(examples, given.columns)
        if given.reference is None:
            self._add(True, "Not compared with the trainer's outputs: there are none here.")
        else:
            compared, largest = questions.reference(given.reference)
            self._figures |= {"compared": compared, "largest_difference": largest}
        if questions.failed:
            return  # what cannot answer has no speed
        main = [door for door in doors if door.main] or doors[:1]
        self._figures["latencies"] = tuple(self._speed(main, examples))
        if job.warmup is not None and config.warmup_requests:
            count = warmup.write(main, examples, config.warmup_requests, job.warmup)
            self._figures["warmup_requests"] = count

    def _speed(self, doors: list[Any], examples: list[bytes]) -> list[Latency]:
        from babelrank.components.serving.check import latency as check_latency

        found: list[Latency] = []
        for door in doors:
            self._stage(f"timing {door.name}")
            found += check_latency.measure(door, examples)
        for one in found:
            if one.batch == 1:
                self._judge_speed(one)
        return found

    def _judge_speed(self, one: Latency) -> None:
        config = self._job.config
        for key, bound, value in (
            ("max_p50_ms", config.max_p50_ms, one.p50_ms),
            ("max_p99_ms", config.max_p99_ms, one.p99_ms),
        ):
            if bound is not None:
                ok = value <= bound
                text = (
                    f"{one.signature}: {key[4:7]} of {one.requests} requests for one example is "
                    f"{value:.3g} ms, {'within' if ok else 'above'} serving.{key} = {bound:g}."
                )
                self._add(ok, text)

    def _memory(self) -> None:
        peak, bound = peak_mib(), self._job.config.max_memory_mib
        self._figures["memory_mib"] = round(peak, 1)
        if bound is not None:
            ok = peak <= bound
            where = "within" if ok else "above"
            text = f"Peak memory is {peak:,.0f} MiB, {where} serving.max_memory_mib = {bound:,}."
            self._add(ok, text)


@dataclass(frozen=True)
class _Given:
    """The columns that the model takes, the examples to ask, and what the trainer answered."""

    columns: tuple[RowColumn, ...]
    examples: list[bytes]
    reference: Reference | None


def versions() -> dict[str, str]:
    """What the process runs with."""
    names = ["tensorflow", *(["tensorflow-text"] if "tensorflow_text" in sys.modules else [])]
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found}


def _lacking(one: tf_serving.Missing, version: str) -> str:
    """A sentence about an operation that TensorFlow Serving lacks."""
    if not one.since:
        return (
            f"The operation {one.name} is none of TensorFlow or tensorflow-text that BabelRank "
            f"knows, so TensorFlow Serving {version} would refuse to load the model. Leave it "
            "out, or set serving.tf_serving: null if your server was built with it."
        )
    newer = "2.20.0" if one.since.startswith("tensorflow-text") else "a newer version"
    return (
        f"TensorFlow Serving {version} lacks the operation {one.name}, which {one.since} has, and "
        f"would refuse to load the model. Serve it with {newer} and set serving.tf_serving to "
        "that, or to null if it is served by something else."
    )


def main(folder: Path) -> None:
    """Runs the job in a folder."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        report = Check(Job.load(folder), folder).run()
    except InputError as error:
        write_text(folder / ERROR, str(error))
        return
    report = dataclasses.replace(report, versions=versions())
    result = folder / f"{RESULT}.tmp"
    result.mkdir()
    report.save(result)
    result.rename(folder / RESULT)  # whoever sees it sees all of it


def _end_with(parent: int) -> None:
    """Ends this process and what it has started once its parent is gone, limits and all."""
    while os.getppid() == parent:
        time.sleep(_EVERY)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
