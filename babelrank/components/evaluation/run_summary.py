"""What a run of a pipeline came to, as plain data: all that the report says and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from babelrank.components.evaluation.drift import DriftReport
from babelrank.components.evaluation.verdict import Finding
from babelrank.components.serving.check.report import CheckReport

Point = tuple[float, float]

BadRow = tuple[str, str, int | str, str | None]
"""(reason, file, line or row-group offset, the row as it was read; None: it is left out)."""
INTERRUPTED = "interrupted"
"""The error of a step that was stopped by Ctrl-C or SIGTERM."""
NEVER_BEGAN = "its pod never began, or the run was ended before; see kubectl describe."
DIED = "its pod ended without a word; out of memory, or evicted? See kubectl describe."
OWN_WORDS = (INTERRUPTED, NEVER_BEGAN, DIED)
"""Errors of steps that hold nothing of the data."""
UNCOVERED = "Not covered, "
"""How notes on a vocabulary begin that list characters of the data."""


@dataclass(frozen=True, kw_only=True)
class StepSummary:
    """How one step of the pipeline went.

    Attributes:
        seconds: None when it did not run.
        error: What ended it, if something did.
        memory_mib: The most memory that it and what it started took at a time, in MiB; None where
            that was not measured.
    """

    name: str
    state: Literal["ran", "cached", "failed", "skipped", "not reached"]
    seconds: float | None = None
    error: str | None = None
    memory_mib: float | None = None


@dataclass(frozen=True, kw_only=True)
class Station:
    """One thing that the model was made from, or that became of it, in the picture of its lineage.

    Attributes:
        name: What it is, such as "Data".
        lines: What is known about it, in a few words each.
        tone: Whether it went well, where that is a question.
        beside: True for what goes into the next station from aside, such as the model that
            training started from.
    """

    name: str
    lines: tuple[str, ...] = ()
    tone: Literal["", "good", "bad"] = ""
    beside: bool = False


@dataclass(frozen=True, kw_only=True)
class RowsSummary:
    """What became of the input's rows: read = used + dropped + quarantined.

    Attributes:
        read: Rows read.
        used: Rows that became examples.
        dropped: Reason to number of rows that the configuration says to leave out.
        quarantined: Reason to number of rows that could not be used.
        examples: A few quarantined rows.
    """

    read: int
    used: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[BadRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run of a pipeline.

    Attributes:
        task: `ranking` or `translation`.
        status: `blessed` when the model passed the gate and was not to be pushed.
        blessed: What the gate said; None if it was not reached.
        forced: Why the model was blessed although the gate refused it; empty if it was not.
        pushed_model: Folder of the pushed model; None if nothing was pushed.
        not_pushed: Why a model that passed the gate was not pushed, in a sentence; None if it was,
            or if it did not pass.
        started: ISO 8601 time.
        seconds: Step to seconds.
        metrics: Metric to value of the candidate on `split`; empty before evaluation.
        baseline: The same of the last blessed model; None without one.
        intervals: Metric to the bounds of its 95 % interval, where that was computed.
        p_values: Metric to the p-value of its difference to the baseline, where computed.
        significance: The p-value below which the gate calls a difference significant; None: it
            was not configured.
        signatures: Metric to how exactly it was computed, for others to repeat.
        split: Split that the gate used.
        split_note: Sentence that says why that split.
        drift: How far the features moved; None if that was not reached.
        anomalies: Sentences on how the examples contradict their schema.
        check: What the serving check found; None if there was none.
        lineage: What the model was made from and what became of it, in order.
        raw_rows: False when rows and sentences of the data were left out.
        rows: None if no row was counted.
        splits: Split to number of examples.
        spans: Spans that were read.
        optimum: Metric to the best value that any model could reach, where the data are simulated.
        languages: Codes of the source and the target language (translation).
        vocabulary: Side to the figures of its vocabulary, by name (translation).
        vocabulary_notes: Sentences about it.
        warm_start: Sentences about the model that training started from, if it was to start from
            one.
        privacy: What private training spent (`epsilon`, `delta` and more) and covers; None if it
            was none.
        skipped: Batches that training left out because the loss diverged on them.
        config_yaml: The configuration in full.
    """

    run_id: str
    pipeline: str
    task: str
    status: Literal["pushed", "blessed", "refused", "failed", "interrupted"]
    started: str
    blessed: bool | None = None
    forced: str = ""
    pushed_model: str | None = None
    not_pushed: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[StepSummary, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline: Mapping[str, float] | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    significance: float | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)
    split: str = ""
    split_note: str = ""
    verdict: tuple[Finding, ...] = ()
    drift: DriftReport | None = None
    anomalies: tuple[str, ...] = ()
    check: CheckReport | None = None
    lineage: tuple[Station, ...] = ()
    raw_rows: bool = True
    rows: RowsSummary | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    spans: tuple[int, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    optimum: Mapping[str, float] | None = None
    languages: tuple[str, str] | None = None
    vocabulary: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    vocabulary_notes: tuple[str, ...] = ()
    warm_start: tuple[str, ...] = ()
    privacy: Mapping[str, float | int | str] | None = None
    skipped: tuple[str, ...] = ()
    config_yaml: str = ""


@dataclass(frozen=True, kw_only=True)
class SliceRow:
    """What the model does on one slice of the gate's split.

    Attributes:
        slice: Name as in "hour=3".
        examples: Number of examples in the slice.
        metrics: Metric name to value, of the candidate.
        baseline: The same of the baseline model; None without one.
    """

    slice: str
    examples: int
    metrics: Mapping[str, float]
    baseline: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class SampleTranslation:
    """A sentence of the gate's split, and what became of it.

    Attributes:
        kind: Why it is shown: as one of the worst or best by chrF, or at random.
        chrf: chrF of the translation.
        baseline: The baseline model's translation; None without one.
    """

    kind: str
    chrf: float
    source: str
    reference: str
    translation: str
    baseline: str | None = None


@dataclass(frozen=True, kw_only=True)
class Charts:
    """The series that the report draws; each may be empty.

    Attributes:
        roc: (false positive rate, true positive rate) of the candidate, in any order.
        roc_baseline: The same of the baseline.
        calibration: (mean prediction, mean label, number of examples) of buckets of predictions.
        scores: (lowest, highest prediction, examples without, examples with a click) of bins of
            predictions; for ratings, examples by prediction and by label.
        loss: (step, training loss).
        evaluation: Metric name to (step, value on the eval split during training).
        slices: Rows of the table of slices, in the order to show them.
        lengths: The slices by source length, named by their bucket, short ones first (translation).
        samples: Translations to look at (translation).
    """

    roc: Sequence[Point] = ()
    roc_baseline: Sequence[Point] = ()
    calibration: Sequence[tuple[float, float, float]] = ()
    scores: Sequence[tuple[float, float, float, float]] = ()
    loss: Sequence[Point] = ()
    evaluation: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    slices: tuple[SliceRow, ...] = ()
    lengths: tuple[SliceRow, ...] = ()
    samples: tuple[SampleTranslation, ...] = ()
