"""What a retraining does: which spans it reads, and whether there is anything to do.

The data say which spans there are, `history` which of them earlier runs have judged. A window is
the newest `spans.window` spans that are there; one that lacks a number between its oldest and its
newest, and not by `spans.exclude`, is an error unless that is allowed.

Imports no TFX.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelrank.components.errors import BabelRankError, ConfigError, InputError
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.history import PLAN, PastRun, past_runs
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.novelty import EPOCH, counted, is_dated, news, overtaken, shown

if TYPE_CHECKING:
    from babelrank.components.ingest.spans import Inputs, Resolved


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is to do.

    Attributes:
        go: False when there is nothing to do.
        span: Newest span to read; None: the data have no spans.
        spans: All spans to read, oldest first; () without spans.
        reason: Why, in a sentence.
        fingerprint: Changes when a file that Ingest reads comes, goes, or changes size or time.
        after: The last run that had been judged when this was planned; empty: none.
    """

    go: bool
    span: int | None
    spans: tuple[int, ...]
    reason: str
    fingerprint: str = ""
    after: str = ""

    def save(self, folder: Path) -> None:
        """Writes the plan into the folder of its run, where `history` looks for it."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        (folder / PLAN).write_text(text + "\n", encoding="utf-8")


def retraining(config: PipelineConfig) -> PipelineConfig:
    """The configuration with which a pipeline is retrained.

    It starts from the last blessed model and keeps its vocabulary, unless `schedule` says
    otherwise; a `training.warm_start` that is set stays as it is.

    Raises:
        ConfigError: It would bless every model from now on, whatever the gate says.
    """
    if config.evaluation.force_bless is not None:
        raise ConfigError(
            "evaluation.force_bless: is for one run, and retraining would bless every model from "
            "now on; take it out of the configuration, and give the one run --force-bless REASON."
        )
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
    if span is not None and not _has_spans(inputs):
        raise ConfigError(f"--span: got {span}, and data.path has no {{SPAN}}; takes nothing.")
    newest = _newest(config, inputs, span, scheduled, lenient)
    chosen = reading(at_span(config, newest))
    if not lenient and chosen.spans:
        _check_complete(config, inputs, chosen.spans)
    runs = [run for run in past_runs(Layout(out).runs) if run.finished]
    go, reason = news(chosen.spans, chosen.fingerprint, runs, inputs)
    if go and span is None and scheduled is not None and is_dated(inputs):
        late = overtaken(chosen.span, counted(runs, config.spans.exclude), inputs)
        go, reason = not late, late or reason
    if force and not go:
        go, reason = True, f"{reason} It is run again all the same."
    return dataclasses.replace(chosen, go=go, reason=reason, after=_last(runs))


def reading(config: PipelineConfig) -> Plan:
    """What a run of a configuration reads now, whatever earlier runs have judged.

    Raises:
        InputError: No file matches, or the wanted span is not there.
        ConfigError: The pattern of the data is wrong.
    """
    inputs = data_inputs(config)
    found = _resolve(inputs, config)
    spans = found.spans if _has_spans(inputs) else ()
    span = spans[-1] if spans else None
    return Plan(go=True, span=span, spans=spans, reason="", fingerprint=_fingerprint(config, found))


def check_current(plan: Plan, out: Path) -> None:
    """Nothing, if no run was judged since a plan was made; the folder is locked meanwhile.

    Raises:
        BabelRankError: One was; the plan may be to do again what that one did.
    """
    last = _last([run for run in past_runs(Layout(out).runs) if run.finished])
    if last != plan.after:
        raise BabelRankError(
            f"{out}: the run {last} came to its end while this one was being prepared. Give the "
            f"same command again: it looks again at what is new."
        )


def now_scheduled(config: PipelineConfig) -> datetime.datetime | None:
    """Now, where a run that names neither span nor time must not read the day that is going on.

    That is with data by date, unless `spans.marker` tells which days are over, or `spans.span`
    names one.
    """
    named = config.spans.marker is not None or config.spans.span is not None
    dated = is_dated(data_inputs(config))
    return datetime.datetime.now(datetime.UTC) if dated and not named else None


def as_span(config: PipelineConfig, number: int) -> int:
    """The span that a number stands for: of data by date, 20260131 is that day.

    Raises:
        ConfigError: Eight digits are no date.
    """
    if number < 10_000_000 or not is_dated(data_inputs(config)):
        return number
    try:
        return (datetime.datetime.strptime(str(number), "%Y%m%d").date() - EPOCH).days
    except ValueError:
        raise ConfigError(
            f"span: got {number}, which is no date; takes one such as 20260131, or days since "
            f"{EPOCH}."
        ) from None


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
    runs = [run for run in past_runs(Layout(out).runs) if run.finished]
    done = {run.spans[-1] for run in counted(runs, config.spans.exclude)}
    if first is None:
        first = max(done) + 1 if done else 0
    last = sys.maxsize if last is None else last
    return tuple(s for s in _there(inputs, config) if first <= s <= last and s not in done)


def data_inputs(config: PipelineConfig) -> Inputs:
    """The files of the data, without those of explicit splits."""
    return _inputs(config)[0]


def _inputs(config: PipelineConfig) -> list[Inputs]:
    """The files of the data, and those of explicit splits."""
    if isinstance(config, RankingConfig):
        from babelrank.components.ranking.inputs import inputs

        return inputs(config.data, config.splits)
    from babelrank.components.translation.inputs import inputs as of_text

    return of_text(config.data, config.splits)


def _fingerprint(config: PipelineConfig, found: Resolved) -> str:
    """Of the data, and of explicit splits and joined tables, where there are any."""
    from babelrank.components.ingest.config import SpansConfig
    from babelrank.components.ingest.spans import fingerprint_of, resolve_inputs

    splits = [resolve_inputs(one, SpansConfig()) for one in _inputs(config)[1:]]
    prints = [found.fingerprint, *(one.fingerprint for one in splits)]
    if isinstance(config, RankingConfig):
        from babelrank.components.ranking.inputs import joined

        prints += [fingerprint_of(path) for path in joined(config.data)]
    if len(prints) == 1:
        return prints[0]
    return hashlib.sha256("".join(prints).encode()).hexdigest()[:32]


def _newest(
    config: PipelineConfig,
    inputs: Inputs,
    span: int | None,
    scheduled: datetime.datetime | None,
    lenient: bool,
) -> int | None:
    """The newest span to read; None: the data have none."""
    if span is not None:
        return span
    if config.spans.span is not None and (scheduled is None or not is_dated(inputs)):
        return config.spans.span
    if not _has_spans(inputs):
        return None
    there = _there(inputs, config)
    if scheduled is None or not is_dated(inputs):
        return there[-1]
    wanted = _day(scheduled) - config.schedule.lag
    while wanted in config.spans.exclude:  # the day before is the one that counts, then
        wanted -= 1
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
    return (time.date() - EPOCH).days


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


def _last(judged: Sequence[PastRun]) -> str:
    return judged[-1].run_id if judged else ""


def _has_spans(inputs: Inputs) -> bool:
    from babelrank.components.ingest.spans import has_spans

    return has_spans(inputs.path)


def _there(inputs: Inputs, config: PipelineConfig) -> tuple[int, ...]:
    """All complete spans, oldest first."""
    from babelrank.components.ingest.spans import all_spans

    return all_spans(inputs, config.spans)


def _resolve(inputs: Inputs, config: PipelineConfig) -> Resolved:
    from babelrank.components.ingest.spans import resolve_inputs

    return resolve_inputs(inputs, config.spans)
