"""What earlier runs of a pipeline came to, from the `run.json` that each of them left.

Of judged runs whose folders were removed, one file beside the folders keeps what a plan needs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from babelrank.components import durable
from babelrank.components.errors import InputError

RUN, REPORT, PLAN = "run.json", "report.html", "plan.json"
"""Files in the folder of a run: what it came to, the same for people, and what it was to read."""

_JUDGED = "judged.json"
"""File beside those folders: the judged runs whose folders were removed."""

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
        fingerprint: Of the files that were there when it was planned; empty: that is not known.
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

    Raises:
        InputError: What is known of runs that were removed cannot be read.
    """
    found = {run.run_id: run for run in removed_runs(runs)}
    for path in runs.glob(f"*/{RUN}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            run = json.loads(path.read_text(encoding="utf-8"))
            found[path.parent.name] = PastRun(
                run_id=path.parent.name,
                status=run["status"],
                started=datetime.datetime.fromisoformat(run["started"]).timestamp(),
                spans=tuple(run["spans"]),
                fingerprint=_fingerprint(path.with_name(PLAN)),
            )
    return sorted(found.values(), key=lambda run: (run.started, run.run_id))


def remember(runs: Path, going: Iterable[PastRun]) -> None:
    """Notes the judged ones among runs, so that they are past runs without their folders, too.

    Raises:
        InputError: The notes of earlier ones cannot be read.
    """
    before = {run.run_id: run for run in removed_runs(runs)}
    noted = before | {run.run_id: run for run in going if run.finished}
    if noted == before:
        return
    text = json.dumps([dataclasses.asdict(run) for run in noted.values()], indent=1)
    durable.write_text(runs / _JUDGED, text + "\n")


def removed_runs(runs: Path) -> list[PastRun]:
    """The judged runs whose folders were removed.

    Raises:
        InputError: What is known of them cannot be read.
    """
    path = runs / _JUDGED
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return [PastRun(**{**one, "spans": tuple(one["spans"])}) for one in noted]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error!r}); it says which data were judged by runs that "
            f"`babelrank clean` removed. Restore it, or remove it: a backfill from an older span "
            f"(--from) would then run again what they judged."
        ) from error


def _fingerprint(plan: Path) -> str:
    try:
        return str(json.loads(plan.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # such as of a run that found no data
