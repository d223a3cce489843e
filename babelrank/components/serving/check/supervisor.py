"""Checks that a model can be served: in a fresh process, within a time and a memory limit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import babelrank
from babelrank.components.config import to_dict
from babelrank.components.errors import InputError
from babelrank.components.serving.check.job import ERROR, LOG, RESULT, Job, Stage
from babelrank.components.serving.check.memory import peak_mib
from babelrank.components.serving.check.report import CheckFinding, CheckReport
from babelrank.components.serving.config import ServingConfig

_EVERY = 0.02  # seconds between looks at the process
_PROCESS = "babelrank.components.serving.check.process"


def check(job: Job) -> CheckReport:
    """Checks a model.

    Whatever becomes of the process, such as a crash, is a finding and no error.

    Raises:
        InputError: The requests or the reference outputs cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="babelrank-check-") as name:
        folder = Path(name)
        job.save(folder)
        end = _run(folder, job.config)
        if (folder / ERROR).exists():
            raise InputError((folder / ERROR).read_text(encoding="utf-8"))
        if (folder / RESULT).exists() and not end.stopped:
            report = _within(CheckReport.load(folder / RESULT), end, job.config)
        else:
            report = _died(end, folder)
    return dataclasses.replace(report, command=command(job))


def command(job: Job) -> str:
    """The shell command that repeats a check."""
    words = ["babelrank", "check", str(job.model)]
    if job.requests is not None:
        words += ["--requests", str(job.requests)]
    if job.reference is not None:
        words += ["--reference", str(job.reference)]
    usual = to_dict(ServingConfig())
    for key, value in to_dict(job.config).items():
        if value != usual[key] and key not in ("check", "warmup_requests"):
            words += ["--set", f"{key}={'null' if value is None else value}"]
    return shlex.join(words)


@dataclass(frozen=True)
class _End:
    """How the process of a check ended: in words, its peak memory in MiB, and by whose hand."""

    said: str
    peak: float
    stopped: bool = False


def _run(folder: Path, config: ServingConfig) -> _End:
    """Runs the process of a check."""
    root = str(Path(babelrank.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", _PROCESS, str(folder)],
            env={**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _watch(process, config)
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _watch(process: subprocess.Popen[bytes], config: ServingConfig) -> _End:
    end = time.monotonic() + config.timeout_seconds
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, peak_mib(process.pid))
        if peak > config.memory_limit_mib:
            return _End(
                f"took {peak:,.0f} MiB of memory and was stopped: serving.memory_limit_mib = "
                f"{config.memory_limit_mib:,}",
                peak,
                stopped=True,
            )
        if time.monotonic() > end:
            return _End(
                f"was not done after {config.timeout_seconds:,} seconds and was stopped: "
                f"serving.timeout_seconds = {config.timeout_seconds:,}",
                peak,
                stopped=True,
            )
        time.sleep(_EVERY)
    code = process.returncode
    if code >= 0:
        return _End(f"ended with exit code {code}", peak)
    name = signal.Signals(-code).name
    hint = ", as when the machine has no memory left" if code == -signal.SIGKILL else ""
    return _End(f"was ended by {name}{hint}", peak)


def _within(report: CheckReport, end: _End, config: ServingConfig) -> CheckReport:
    """The report of a process that came to its end, with what nobody could see of its memory."""
    limit = f"serving.memory_limit_mib = {config.memory_limit_mib:,}"
    if report.memory_mib > config.memory_limit_mib:
        text = f"The process of the check took {report.memory_mib:,.0f} MiB of memory: {limit}."
        found = CheckFinding(ok=False, text=text)
        return dataclasses.replace(report, ok=False, findings=(found, *report.findings))
    if not end.peak:
        text = f"This system does not tell the memory of a process: {limit} was not watched."
        found = CheckFinding(ok=True, text=text)
        return dataclasses.replace(report, findings=(*report.findings, found))
    return report


def _died(end: _End, folder: Path) -> CheckReport:
    """The report on a process that left none."""
    stage = Stage.load(folder)
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = f" Its last words: {log[-1][:300]}" if log else ""
    text = f"The process of the check {end.said}. It was {stage.doing}.{said}"
    finding = CheckFinding(ok=False, text=text, request=stage.request)
    return CheckReport(ok=False, findings=(finding,), command="", memory_mib=round(end.peak, 1))
