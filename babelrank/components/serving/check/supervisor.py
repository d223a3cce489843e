"""Checks that a model can be served: in a fresh process, within a time and a memory limit."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import babelrank
from babelrank.components.config import to_dict
from babelrank.components.serving.check.job import LOG, RESULT, Job, Stage
from babelrank.components.serving.check.report import CheckFinding, CheckReport
from babelrank.components.serving.config import ServingConfig

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_EVERY = 0.02  # seconds between looks at the process
_PROCESS = "babelrank.components.serving.check.process"


def check(job: Job) -> CheckReport:
    """Checks a model.

    Whatever becomes of the process, such as a crash, is a finding and no error.
    """
    with tempfile.TemporaryDirectory(prefix="babelrank-check-") as name:
        folder = Path(name)
        job.save(folder)
        ended, peak = _run(folder, job.config)
        if (folder / RESULT).exists():
            report = CheckReport.load(folder / RESULT)
        else:
            report = _died(ended, peak, folder)
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


def _run(folder: Path, config: ServingConfig) -> tuple[str, float]:
    """Runs the process of a check; returns how it ended, in words, and its peak memory in MiB."""
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


def _watch(process: subprocess.Popen[bytes], config: ServingConfig) -> tuple[str, float]:
    end = time.monotonic() + config.timeout_seconds
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak_mib(process.pid))
        if peak > config.memory_limit_mib:
            return (
                f"took {peak:,.0f} MiB of memory and was stopped: serving.memory_limit_mib = "
                f"{config.memory_limit_mib:,}",
                peak,
            )
        if time.monotonic() > end:
            return (
                f"was not done after {config.timeout_seconds:,} seconds and was stopped: "
                f"serving.timeout_seconds = {config.timeout_seconds:,}",
                peak,
            )
        time.sleep(_EVERY)
    code = process.returncode
    if code >= 0:
        return f"ended with exit code {code}", peak
    name = signal.Signals(-code).name
    hint = ", as when the machine has no memory left" if code == -signal.SIGKILL else ""
    return f"was ended by {name}{hint}", peak


def _peak_mib(process: int) -> float:
    """Peak memory of another process, in MiB; 0 where the system does not tell."""
    try:
        found = _PEAK.search(Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def _died(ended: str, peak: float, folder: Path) -> CheckReport:
    """The report on a process that left none."""
    stage = Stage.load(folder)
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = f" Its last words: {log[-1][:300]}" if log else ""
    text = f"The process of the check {ended}. It was {stage.doing}.{said}"
    finding = CheckFinding(ok=False, text=text, request=stage.request)
    return CheckReport(ok=False, findings=(finding,), command="", memory_mib=round(peak, 1))
