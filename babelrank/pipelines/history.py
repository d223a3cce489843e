"""What earlier runs of a pipeline came to, from the `run.json` that each of them left."""

from __future__ import annotations

import contextlib
import datetime
import json
from dataclasses import dataclass
from pathlib import Path

RUN, PLAN = "run.json", "plan.json"
"""Files in the folder of a run: what it came to, and what it was to read."""

FINISHED = ("pushed", "blessed", "refused")
"""States of runs whose data have been judged; the others are to be run again."""


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A run that ended and left its report.

    Attributes:
        run_id: Name of its folder.
        status: How it ended.
        started: When, in seconds since the epoch.
        spans: What it read; () without spans.
        fingerprint: Of the files that were there when it was planned; empty: it was not planned.
    """

    run_id: str
    status: str
    started: float
    spans: tuple[int, ...]
    fingerprint: str = ""

    @property
    def finished(self) -> bool:
        """Whether its data have been judged."""
        return self.status in FINISHED


def past_runs(runs: Path) -> list[PastRun]:
    """The runs that left a report, oldest first.

    A run that was killed left none, and one whose report cannot be read counts as killed.

    Args:
        runs: Folder that holds one folder for each run.
    """
    found = []
    for path in runs.glob(f"*/{RUN}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            run = json.loads(path.read_text(encoding="utf-8"))
            found.append(
                PastRun(
                    run_id=path.parent.name,
                    status=run["status"],
                    started=datetime.datetime.fromisoformat(run["started"]).timestamp(),
                    spans=tuple(run["spans"]),
                    fingerprint=_fingerprint(path.with_name(PLAN)),
                )
            )
    return sorted(found, key=lambda run: (run.started, run.run_id))


def _fingerprint(plan: Path) -> str:
    try:
        return str(json.loads(plan.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # such as of `babelrank run`, which plans nothing
