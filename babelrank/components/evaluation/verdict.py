"""The verdict: which of the gate's rules a model keeps or breaks, in sentences.

Imports no TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from babelrank.components.evaluation.gate import EvaluationConfig, Rule, rules
from babelrank.components.evaluation.wording import brief

OVERALL = "overall"
"""Name of the slice that is the whole split."""

LOW, HIGH = "_low", "_high"
"""After a metric's name: the bounds of its 95 % interval."""

CHANGE, P_VALUE = "_change", "_p_value"
"""After a metric's name: its mean difference to the baseline over bootstrap samples (which has
bounds too), and the p-value of that difference."""

MODEL, DATA, DRIFT = "model", "data", "drift"
FORCED, ROLLED_BACK = "forced", "rolled_back"
"""Kinds of findings: on the model's metrics, on the data, on their drift and skew, on a blessing by
force, and on a model that was taken out of service."""

SENTENCES = 5
"""So many slices that break a rule are told one by one."""

_NOISE = 1e-9
"""What is so little beyond a bound keeps it: 0.71 - 0.70 is more than 0.01 for a computer."""

_DIGITS = 10
"""At most so many decimals are shown, which tell all apart that is more than noise."""

Metrics = Mapping[str, Mapping[str, float]]
"""Slice name to metric name to value."""


def values(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a slice themselves, without what goes with them."""
    return {n: v for n, v in metrics.items() if not n.endswith((LOW, HIGH, CHANGE, P_VALUE))}


def intervals(metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Metric to the bounds of its 95 % interval, where a slice has one that could be computed."""
    names = [n for n in values(metrics) if math.isfinite(metrics.get(n + LOW, math.nan))]
    return {n: (metrics[n + LOW], metrics[n + HIGH]) for n in names}


def p_values(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metric to the p-value of its difference to the baseline, where a slice has one."""
    return {n: metrics[n + P_VALUE] for n in values(metrics) if n + P_VALUE in metrics}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the verdict.

    Attributes:
        ok: False if the finding alone is enough to refuse the model.
        text: The sentence: which metric, value, threshold and slice.
        kind: What it is about.
        note: True for what is only told: it is no check, and `ok`.
    """

    ok: bool
    text: str
    kind: str = MODEL
    note: bool = False


def checks(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that judge, without the notes."""
    return tuple(finding for finding in findings if not finding.note)


def judge(
    config: EvaluationConfig, candidate: Metrics, baseline: Metrics | None
) -> tuple[bool, tuple[Finding, ...]]:
    """The verdict on a candidate.

    Args:
        config: The rules, and what to do on the first run.
        candidate: Metrics of the candidate by slice; with p-values if `config.significance` is set.
        baseline: Metrics of the last blessed model on the same examples; None without one.

    Returns:
        True when the candidate is blessed, and one finding for each rule and slice that it
        breaks, or for each rule that it keeps everywhere.
    """
    if baseline is None and config.first_run == "bless":
        text = "No model was blessed before, and evaluation.first_run: bless takes the first one."
        return True, (Finding(ok=True, text=text),)
    findings: list[Finding] = []
    if baseline is None:
        refuse = config.first_run == "refuse"
        text = (
            "No model was blessed before, and evaluation.first_run: refuse refuses the first one."
            if refuse
            else "No model was blessed before: only the min and max bounds are applied."
        )
        findings.append(Finding(ok=not refuse, text=text))
    for rule in rules(config):
        if rule.absolute or baseline is not None:
            findings += _check(config, rule, candidate, baseline or {})
    return all(finding.ok for finding in findings), tuple(findings)


def _check(
    config: EvaluationConfig, rule: Rule, candidate: Metrics, baseline: Metrics
) -> list[Finding]:
    names = [n for n in candidate if (n != OVERALL) == rule.sliced]
    if rule.sliced and not rule.absolute:
        names += [n for n in baseline if n != OVERALL and n not in candidate]
    if not names:
        few = "no slice has evaluation.min_slice_examples" if rule.sliced else "the split has no"
        return [Finding(ok=False, text=f"{rule.key}: {few} examples.")]
    found = [_judged(config, rule, n, candidate.get(n), baseline.get(n, {})) for n in names]
    found.sort(key=lambda one: (one.room, one.name))  # the worst first
    if not rule.sliced:
        return [Finding(ok=one.ok, text=one.text) for one in found]
    broken = [Finding(ok=False, text=one.text) for one in found if not one.ok]
    return _shortened(broken, rule) or [Finding(ok=True, text=_all_kept(rule, found))]


def _shortened(broken: list[Finding], rule: Rule) -> list[Finding]:
    """The worst slices that break a rule, and how many others do."""
    more = len(broken) - SENTENCES
    if more <= 0:
        return broken
    text = f"{more} more {'slice breaks' if more == 1 else 'slices break'} {_bound_text(rule)}."
    return [*broken[:SENTENCES], Finding(ok=False, text=f"And {text}")]


def _all_kept(rule: Rule, found: list[_Judged]) -> str:
    """One sentence for all slices, which keep a rule; it names the one that comes nearest to it."""
    nearest = found[0]
    slices = f"all {len(found)} slices" if len(found) > 1 else "the only slice"
    text = f"{rule.metric} in {slices} keeps {_bound_text(rule)}"
    if not math.isfinite(nearest.room):
        return f"{text}; there is nothing to compare with."
    worst = f"{brief(nearest.name)}: {nearest.value:.{nearest.digits}f}"
    if not rule.absolute:
        worst += f", {_distance(nearest.change, nearest.digits)} the last blessed model's"
    alone = sum(not math.isfinite(one.room) for one in found)
    rest = f"; {alone} without a value of the last blessed model" if alone else ""
    beyond = sum(one.room < 0 for one in found)
    rest += f"; {beyond} beyond it, but not significantly" if beyond else ""
    return f"{text} (the worst is {worst}{rest})."


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """What a rule says of one slice.

    Attributes:
        name: The slice.
        ok: Whether it keeps the rule.
        text: How, in a sentence.
        value: The metric there.
        room: How far it is within the bound, negative beyond it (and by more than noise), minus
            infinity if it cannot be computed, infinity if there is nothing to compare with.
        change: Its difference to the baseline's.
        digits: Decimals to show it with.
    """

    name: str
    ok: bool
    text: str
    value: float = math.nan
    room: float
    change: float = math.nan
    digits: int = 0


def _judged(
    config: EvaluationConfig,
    rule: Rule,
    name: str,
    candidate: Mapping[str, float] | None,
    baseline: Mapping[str, float],
) -> _Judged:
    """Whether one slice keeps a rule, and how, in words."""
    if candidate is None:
        text = (
            f"The slice {brief(name)} was measured for the last blessed model, and not for this "
            f"one."
        )
        return _Judged(name=name, ok=False, text=text, room=-math.inf)
    value = candidate.get(rule.metric, math.nan)
    here = rule.metric + ("" if name == OVERALL else f" in the slice {brief(name)}")
    if not math.isfinite(value):
        text = (
            f"{here} cannot be computed (got {value}){config.unmeasurable or '.'} "
            f"Demanded by {_bound_text(rule)}."
        )
        return _Judged(name=name, ok=False, text=text, room=-math.inf)
    if rule.absolute:
        room = _room(value - rule.bound if rule.kind == "min" else rule.bound - value)
        digits = _digits(config, rule, value, room)
        side = "below" if rule.kind == "min" else "above"
        text = f"{here} is {value:.{digits}f}, {side} {_bound_text(rule)}."
        if room >= 0:
            text = f"{here} {value:.{digits}f} keeps {_bound_text(rule)}."
        return _Judged(name=name, ok=room >= 0, text=text, value=value, room=room, digits=digits)
    p_value = candidate.get(rule.metric + P_VALUE, math.nan)
    before = baseline.get(rule.metric, math.nan)
    return _compared(config, rule, (name, here), (value, before), p_value)


def _compared(
    config: EvaluationConfig,
    rule: Rule,
    names: tuple[str, str],
    values: tuple[float, float],
    p_value: float,
) -> _Judged:
    """Whether one slice keeps a rule about the difference to the baseline.

    Args:
        config: For its digits and its level.
        rule: The rule.
        names: Of the slice; and of the metric in it, in words.
        values: The metric, of the candidate and of the baseline.
        p_value: Of their difference; may be NaN.
    """
    (name, here), (value, before) = names, values
    if not math.isfinite(before):
        text = (
            f"{here} is {value:.{config.digits}f}; the last blessed model has none to compare it "
            f"with by {_bound_text(rule)}."
        )
        return _Judged(name=name, ok=True, text=text, value=value, room=math.inf)
    change = value - before
    bounded = -change if rule.kind == "drop" else change
    room = _room(bounded - rule.bound if rule.kind == "gain" else rule.bound - bounded)
    digits = _digits(config, rule, bounded, room)
    told = f"{_distance(change, digits)} the last blessed model's {before:.{digits}f}"
    here = f"{here} is {value:.{digits}f}, {told}"
    ok, text = (_gained if rule.kind == "gain" else _worse)(config, rule, here, room, p_value)
    return _Judged(
        name=name, ok=ok, text=text, value=value, room=room, change=change, digits=digits
    )


def _room(room: float) -> float:
    """The same, 0 if it is only noise."""
    return 0.0 if abs(room) < _NOISE else room


def _digits(config: EvaluationConfig, rule: Rule, bounded: float, room: float) -> int:
    """Decimals to show: those configured, and more where they would not show what is broken.

    Args:
        config: For its digits.
        rule: The rule.
        bounded: What its bound is about: the metric, or its drop, rise or gain.
        room: How far that is within the bound.
    """
    if room >= 0:
        return config.digits
    for digits in range(config.digits, _DIGITS):
        if f"{bounded:.{digits}f}" != f"{rule.bound:.{digits}f}":
            return digits
    return _DIGITS


def _worse(
    config: EvaluationConfig, rule: Rule, here: str, room: float, p_value: float
) -> tuple[bool, str]:
    """Whether the candidate is not too much worse, or not surely so."""
    if room >= 0:
        return True, f"{here}; that keeps {_bound_text(rule)}."
    if config.significance is not None and p_value >= config.significance:
        return True, (
            f"{here}, but that is not significant (p = {p_value:.3f}, "
            f"evaluation.significance = {config.significance:g}), so it keeps {_bound_text(rule)}."
        )
    sure = "" if config.significance is None else _p_text(p_value)
    return False, f"{here}{sure}; {_bound_text(rule)} allows no more."


def _gained(
    config: EvaluationConfig, rule: Rule, here: str, room: float, p_value: float
) -> tuple[bool, str]:
    """Whether the candidate is as much better as a rule demands, and if need be surely so."""
    if room < 0:
        return False, f"{here}; {_bound_text(rule)} demands more."
    if config.significance is None:
        return True, f"{here}; that keeps {_bound_text(rule)}."
    if p_value < config.significance:
        return True, f"{here}{_p_text(p_value)}; that keeps {_bound_text(rule)}."
    return False, (
        f"{here}, but that is not significant{_p_text(p_value)}; {_bound_text(rule)} with "
        f"evaluation.significance = {config.significance:g} demands that it is."
    )


def _distance(difference: float, digits: int) -> str:
    if difference == 0:
        return "no different from"
    size, least = f"{abs(difference):.{digits}f}", f"{10**-digits:.{digits}f}"
    size = size if float(size) else f"less than {least}"
    return f"{size} {'above' if difference > 0 else 'below'}"


def _p_text(p_value: float) -> str:
    return f" (p = {p_value:.3f})" if math.isfinite(p_value) else " (without a p-value)"


def _bound_text(rule: Rule) -> str:
    return f"{rule.key} = {rule.bound:.{_DIGITS}g}"
