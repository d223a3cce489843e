"""The verdict on the data of a run: rows, anomalies and labels against their bounds, in sentences.

Imports no TensorFlow; `data_facts` reads the facts from the artifacts of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from babelrank.components.evaluation.data_thresholds import DataThresholds, LabelThresholds
from babelrank.components.evaluation.verdict import DATA, Finding

ANOMALY = "Schema anomaly: "
"""How a finding on one anomaly begins; `Anomaly.sentence` follows."""

_TOLD = 5
"""So many anomalies are told one by one."""

_TELLS = "): "
"""Stands in a sentence between where an anomaly was found and what it is."""


@dataclass(frozen=True, kw_only=True)
class Anomaly:
    """A difference between the data and the schema.

    Attributes:
        feature: Name of the feature; empty: the data as a whole.
        splits: Where it was found.
        text: What it is.
    """

    feature: str
    splits: tuple[str, ...]
    text: str

    def sentence(self) -> str:
        """It in a sentence; the text may quote values of the data."""
        return f"{self._where}{_TELLS}{self.text.rstrip('.')}."

    @property
    def _where(self) -> str:
        return f"{self.feature or 'the data'} ({', '.join(self.splits)}"


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What is known about the data of a run; None: nothing is.

    Attributes:
        read: Rows read.
        quarantined: Reason to number of rows that could not be used.
        anomalies: Differences from the schema.
        label_rate: Mean label of train.
        serving_label_rate: The same of the training of the serving model.
    """

    read: int | None = None
    quarantined: Mapping[str, int] = field(default_factory=dict)
    anomalies: tuple[Anomaly, ...] | None = None
    label_rate: float | None = None
    serving_label_rate: float | None = None


def without_text(sentence: str) -> str:
    """A sentence on an anomaly, or a finding that is one, without what was found there."""
    return sentence.partition(_TELLS)[0] + ")."


def judge_data(config: DataThresholds, facts: DataFacts) -> tuple[Finding, ...]:
    """What the gate says of the data: one finding for each bound, and a note on each anomaly.

    Args:
        config: The bounds.
        facts: What is known. A bound on what is not known refuses.
    """
    judged = [*_quarantined(config, facts), *_anomalies(config, facts)]
    findings = [Finding(ok=ok, text=text, kind=DATA) for ok, text in judged]
    findings += [Finding(ok=True, text=text, kind=DATA, note=True) for text in _told(facts)]
    if isinstance(config, LabelThresholds):
        judged = [*_label_rate(config, facts), *_label_change(config, facts)]
        findings += [Finding(ok=ok, text=text, kind=DATA) for ok, text in judged]
    return tuple(findings)


def _quarantined(config: DataThresholds, facts: DataFacts) -> Iterator[tuple[bool, str]]:
    limit = config.max_quarantined
    if limit is None:
        return
    bound = f"evaluation.data.max_quarantined = {limit:g}"
    if not facts.read:
        yield False, f"{bound}: how many rows were read and quarantined is not known."
        return
    bad = sum(facts.quarantined.values())
    share = bad / facts.read
    text = f"{bad:,} of {facts.read:,} rows ({share:.2%}) are quarantined"
    if share <= limit:
        yield True, f"{text}; that keeps {bound}."
        return
    reason, count = max(facts.quarantined.items(), key=lambda one: one[1])
    yield False, f"{text}, most as {reason} ({count:,}); {bound} allows no more."


def _anomalies(config: DataThresholds, facts: DataFacts) -> Iterator[tuple[bool, str]]:
    limit = config.max_anomalies
    if limit is None:
        return
    bound = f"evaluation.data.max_anomalies = {limit}"
    if facts.anomalies is None:
        yield False, f"{bound}: whether the data keep the schema is not known."
        return
    count = len(facts.anomalies)
    ok = count <= limit
    ways = "1 way" if count == 1 else f"{count} ways"
    verb = "keeps" if ok else "breaks"
    yield ok, f"The data differ from the schema in {ways}; that {verb} {bound}."


def _told(facts: DataFacts) -> Iterator[str]:
    """The anomalies, whether or not there is a bound on them."""
    anomalies = facts.anomalies or ()
    for one in anomalies[:_TOLD]:
        yield f"{ANOMALY}{one.sentence()}"
    if len(anomalies) > _TOLD:
        yield f"And {len(anomalies) - _TOLD} more differences from the schema."


def _label_rate(config: LabelThresholds, facts: DataFacts) -> Iterator[tuple[bool, str]]:
    for key, limit, sign in (
        ("min_label_rate", config.min_label_rate, 1),
        ("max_label_rate", config.max_label_rate, -1),
    ):
        if limit is None:
            continue
        bound = f"evaluation.data.{key} = {limit:g}"
        if facts.label_rate is None:
            yield False, f"{bound}: the mean label of train is not known."
            continue
        text = f"the mean label of train is {facts.label_rate:.4g}"
        if sign * (facts.label_rate - limit) >= 0:
            yield True, f"{text}; that keeps {bound}."
        else:
            yield False, f"{text}, {'below' if sign > 0 else 'above'} {bound}."


def _label_change(config: LabelThresholds, facts: DataFacts) -> Iterator[tuple[bool, str]]:
    limit = config.max_label_rate_change
    if limit is None:
        return
    bound = f"evaluation.data.max_label_rate_change = {limit:g}"
    now, before = facts.label_rate, facts.serving_label_rate
    if now is None:
        yield False, f"{bound}: the mean label of train is not known."
    elif before is None:
        yield True, f"{bound}: there is no serving model of other examples to compare with."
    elif abs(now - before) <= limit * abs(before):
        yield (
            True,
            f"the mean label of train was {before:.4g} and is {now:.4g}; that keeps {bound}.",
        )
    else:
        change = f" ({(now - before) / abs(before):+.0%})" if before else ""
        yield (
            False,
            (
                f"the mean label of train was {before:.4g} for the serving model and is "
                f"{now:.4g}{change}; {bound} allows no more."
            ),
        )
