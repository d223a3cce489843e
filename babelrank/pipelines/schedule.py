"""What a retraining does: which spans it reads, and whether there is anything to do.

The data say which spans there are, `history` which of them earlier runs have judged. A window is
the newest `spans.window` spans that are there; one that lacks a number between its oldest and its
newest, and not by `spans.exclude`, is an error unless that is allowed.

Imports no TFX.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.errors import ConfigError, InputError
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.history import PLAN, PastRun, past_runs
from babelrank.pipelines.layout import Layout

if TYPE_CHECKING:
    from babelrank.components.ingest.spans import Inputs, Resolved

_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is to do.

    Attributes:
        go: False when there is nothing to do.
        span: Newest span to read; None: the data have no spans.
        spans: All spans to read, oldest first; () without spans.
        reason: Why, in a sentence.
        fingerprint: Changes when a file of the data comes, goes, or changes size or time.
    """

    go: bool
    span: int | None
    spans: tuple[int, ...]
    reason: str
    fingerprint: str = ""

    def save(self, folder: Path) -> None:
        """Writes the plan into the folder of its run, where `history` looks for it."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        (folder / PLAN).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """The plan that `save` wrote."""
        found = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return cls(**{**found, "spans": tuple(found["spans"])})


def retraining(config: PipelineConfig) -> PipelineConfig:
    """The configuration with which a pipeline is retrained.

    It starts from the last blessed model and keeps its vocabulary, unless `schedule` says
    otherwise; a `training.warm_start` that is set stays as it is.
    """
    schedule = config.schedule
    if config.training.warm_start is None:
        training: Any = dataclasses.replace(config.training, warm_start=schedule.warm_start)
        config = dataclasses.replace(config, training=training)
    if isinstance(config, TranslationConfig) and schedule.reuse_vocabulary:
        vocabulary = dataclasses.replace(config.vocabulary, reuse="latest")
        config = dataclasses.replace(config, vocabulary=vocabulary)
    return config


def at_span(config: PipelineConfig, span: int | None) -> PipelineConfig:
    """The configuration with another newest span; None: as it is."""
    if span is None:
        return config
    return dataclasses.replace(config, spans=dataclasses.replace(config.spans, span=span))


def plan(
    config: PipelineConfig,
    out: Path,
    *,
    span: int | None = None,
    scheduled: datetime.datetime | None = None,
    force: bool = False,
    allow_missing: bool = False,
) -> Plan:
    """Decides which spans a run reads, and whether there is anything to do.

    Args:
        config: The configuration.
        out: Output folder, for the reports of earlier runs.
        span: Newest span to read; None: see `scheduled`, else `spans.span`, else the newest one.
        scheduled: When the run was to begin (UTC, unless it has a time zone). Of data by date it
            reads up to the day `schedule.lag` days before; to others it says nothing.
        force: Go even when the data were judged already.
        allow_missing: Go on when a span is missing, as `schedule.allow_missing`.

    Raises:
        InputError: No file matches, a span is missing, or the wanted one is not there.
        ConfigError: The pattern of the data is wrong, or has no spans, and one is asked for.
    """
    inputs, lenient = data_inputs(config), allow_missing or config.schedule.allow_missing
    if not _has_spans(inputs):
        if span is not None:
            raise ConfigError(f"--span: got {span}, and data.path has no {{SPAN}}; takes nothing.")
        found = _resolve(inputs, config)
        chosen = Plan(go=True, span=None, spans=(), reason="", fingerprint=found.fingerprint)
    else:
        newest = _newest(config, inputs, span, scheduled, lenient)
        found = _resolve(inputs, at_span(config, newest))
        if not lenient:
            _check_complete(config, inputs, found.spans)
        newest, spans = found.spans[-1], found.spans
        chosen = Plan(go=True, span=newest, spans=spans, reason="", fingerprint=found.fingerprint)
    go, reason = _news(chosen, past_runs(Layout(out).runs), inputs)
    if force and not go:
        go, reason = True, f"{reason} --force runs it again."
    return dataclasses.replace(chosen, go=go, reason=reason)


def unfinished(
    config: PipelineConfig, out: Path, first: int | None = None, last: int | None = None
) -> tuple[int, ...]:
    """The spans that are there and that no run has judged as its newest one, oldest first.

    Args:
        config: The configuration.
        out: Output folder, for the reports of earlier runs.
        first: The oldest span wanted; None: what comes after the newest one that was judged,
            since a model of older data would replace one of newer data.
        last: The newest span wanted.

    Raises:
        InputError: No file matches.
        ConfigError: The data have no spans.
    """
    inputs = data_inputs(config)
    if not _has_spans(inputs):
        raise ConfigError(
            "--backfill: needs {SPAN} or {YYYY}{MM}{DD} in data.path; there is one data set only."
        )
    done = {run.spans[-1] for run in past_runs(Layout(out).runs) if run.finished and run.spans}
    if first is None:
        first = max(done) + 1 if done else 0
    last = sys.maxsize if last is None else last
    return tuple(s for s in _there(inputs, config) if first <= s <= last and s not in done)


def data_inputs(config: PipelineConfig) -> Inputs:
    """The files of the data, without those of explicit splits."""
    from babelrank.components.ingest.spans import Inputs

    data = config.data
    if isinstance(config, RankingConfig) or data.path is not None:
        return Inputs(path=data.path or "")
    keys = ("data.source.path", "data.target.path")
    return Inputs(path=data.source.path or "", beside=data.target.path or "", keys=keys)


def shown(inputs: Inputs, spans: Iterable[int]) -> str:
    """Spans for people: the dates that they stand for, if they do."""
    dated = "{YYYY}" in inputs.path
    days = (f"{_EPOCH + datetime.timedelta(span)} ({span})" if dated else span for span in spans)
    return ", ".join(map(str, days))


def _newest(
    config: PipelineConfig,
    inputs: Inputs,
    span: int | None,
    scheduled: datetime.datetime | None,
    lenient: bool,
) -> int | None:
    """The newest span to read, where something says which one it is."""
    if span is not None:
        return span
    if scheduled is None or "{YYYY}" not in inputs.path:
        return config.spans.span
    wanted = _day(scheduled) - config.schedule.lag
    there = _there(inputs, config)
    if wanted in there:
        return wanted
    before = [one for one in there if one < wanted]
    if lenient and before:
        return before[-1]
    raise InputError(
        f"{inputs.path}: {shown(inputs, [wanted])} is not there, the day that a run scheduled for "
        f"{scheduled:%Y-%m-%d %H:%M} reads (schedule.lag: {config.schedule.lag}). Run again when "
        f"it is, or allow missing spans (schedule.allow_missing)."
    )


def _day(time: datetime.datetime) -> int:
    """The day of a time in UTC, in days since the epoch."""
    if time.tzinfo is not None:
        time = time.astimezone(datetime.UTC)
    return (time.date() - _EPOCH).days


def _check_complete(config: PipelineConfig, inputs: Inputs, spans: Sequence[int]) -> None:
    numbers = set(range(spans[0], spans[-1] + 1))
    missing = sorted(numbers - set(spans) - set(config.spans.exclude))
    if missing:
        listed = shown(inputs, missing[:10]) + (", …" if len(missing) > 10 else "")
        raise InputError(
            f"{inputs.path}: missing in the window of {shown(inputs, [spans[0]])} to "
            f"{shown(inputs, [spans[-1]])}: {listed}. Wait for them, name those that will not come "
            f"in spans.exclude, or go on without (--allow-missing, schedule.allow_missing)."
        )


def _news(chosen: Plan, runs: Sequence[PastRun], inputs: Inputs) -> tuple[bool, str]:
    """Whether the data of a plan are still to be judged, and why or why not."""
    judged = [run for run in runs if run.finished and run.spans == chosen.spans]
    what = "the window of " if len(chosen.spans) > 1 else "span "
    what = what + shown(inputs, chosen.spans) if chosen.spans else "the data"
    if not judged:
        before = [run for run in runs if run.finished and run.spans[-1:] == (chosen.span,)]
        if before:
            return True, f"{what} is new; before, it was {shown(inputs, before[-1].spans)}."
        return True, f"{what} is new." if chosen.spans else f"{what} were not judged yet."
    last = judged[-1]
    changed = bool(last.fingerprint) and last.fingerprint != chosen.fingerprint
    if changed or not (last.fingerprint or chosen.spans):
        return True, f"{what} changed after run {last.run_id}."
    return False, f"Nothing new: {what} was {last.status} by run {last.run_id}."


def _has_spans(inputs: Inputs) -> bool:
    from babelrank.components.ingest.spans import has_spans

    return has_spans(inputs.path)


def _there(inputs: Inputs, config: PipelineConfig) -> tuple[int, ...]:
    """All complete spans, oldest first."""
    everything = dataclasses.replace(config.spans, window=sys.maxsize, span=None)
    return _resolve(inputs, dataclasses.replace(config, spans=everything)).spans


def _resolve(inputs: Inputs, config: PipelineConfig) -> Resolved:
    from babelrank.components.ingest.spans import resolve_inputs

    return resolve_inputs(inputs, config.spans)
