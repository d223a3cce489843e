"""Whether data are still to be judged: what is there, beside what earlier runs have judged.

Imports no TFX.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from babelrank.pipelines.history import PastRun

if TYPE_CHECKING:
    from babelrank.components.ingest.spans import Inputs

EPOCH = datetime.date(1970, 1, 1)
"""The date whose span is 0."""


def is_dated(inputs: Inputs) -> bool:
    """Whether the spans of the data are dates."""
    return "{YYYY}" in inputs.path


def shown(inputs: Inputs, spans: Iterable[int]) -> str:
    """Spans for people: the dates that they stand for, if they do."""
    dated = is_dated(inputs)
    days = (f"{EPOCH + datetime.timedelta(span)} ({span})" if dated else span for span in spans)
    return ", ".join(map(str, days))


def news(
    spans: tuple[int, ...], fingerprint: str, judged: Sequence[PastRun], inputs: Inputs
) -> tuple[bool, str]:
    """Whether data are still to be judged, and why or why not, in a sentence.

    Args:
        spans: The spans that would be read; () without spans.
        fingerprint: Of their files.
        judged: Earlier runs that were judged, oldest first.
        inputs: Tells spans from dates.
    """
    same = [run for run in judged if run.spans == spans]
    what, verb = _named(spans, inputs)
    if not same:
        before = [run for run in judged if spans and run.spans[-1:] == spans[-1:]]
        if before:
            return True, f"{what} is new; before, it was {_named(before[-1].spans, inputs)[0]}."
        return True, f"{what} is new." if spans else f"{what} were not judged yet."
    last = same[-1]
    changed = bool(last.fingerprint) and last.fingerprint != fingerprint
    if changed or not (last.fingerprint or spans):
        return True, f"{what} changed after run {last.run_id}."
    return False, f"Nothing new: {what} {verb} {last.status} by run {last.run_id}."


def overtaken(span: int | None, judged: Sequence[PastRun], inputs: Inputs) -> str:
    """Why a run comes too late, in a sentence: its model would replace one of newer data.

    That is how runs are that were missed and made up for, or tried again days later.

    Args:
        span: The newest span that would be read.
        judged: Earlier runs on data with spans that were judged.
        inputs: Tells spans from dates.

    Returns:
        Empty, if it does not.
    """
    newest = max(judged, key=lambda run: run.spans[-1], default=None)
    if newest is None or span is None or newest.spans[-1] <= span:
        return ""
    return (
        f"Nothing to do: {shown(inputs, [span])} is older than {shown(inputs, newest.spans[-1:])}, "
        f"which was {newest.status} by run {newest.run_id}."
    )


def counted(judged: Iterable[PastRun], excluded: Collection[int]) -> list[PastRun]:
    """The runs on data with spans whose newest one still counts."""
    return [run for run in judged if run.spans and run.spans[-1] not in excluded]


def _named(spans: Sequence[int], inputs: Inputs) -> tuple[str, str]:
    """Data for people, and the verb that goes with them."""
    if not spans:
        return "the data", "were"
    return ("the window of " if len(spans) > 1 else "span ") + shown(inputs, spans), "was"
