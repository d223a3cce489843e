"""The verdict: which of the gate's rules a model keeps or breaks, in sentences.

Imports no TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from babelrank.components.evaluation.gate import EvaluationConfig, Rule, rules

OVERALL = "overall"
"""Name of the slice that is the whole split."""

LOW, HIGH = "_low", "_high"
"""After a metric's name: the bounds of its 95 % interval."""

CHANGE, P_VALUE = "_change", "_p_value"
"""After a metric's name: its mean difference to the baseline over bootstrap samples (which has
bounds too), and the p-value of that difference."""

Metrics = Mapping[str, Mapping[str, float]]
"""Slice name to metric name to value."""


def values(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a slice themselves, without what goes with them."""
    return {n: v for n, v in metrics.items() if not n.endswith((LOW, HIGH, CHANGE, P_VALUE))}


def intervals(metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Metric to the bounds of its 95 % interval, where a slice has one."""
    names = values(metrics)
    return {n: (metrics[n + LOW], metrics[n + HIGH]) for n in names if n + LOW in metrics}


def p_values(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metric to the p-value of its difference to the baseline, where a slice has one."""
    return {n: metrics[n + P_VALUE] for n in values(metrics) if n + P_VALUE in metrics}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the verdict.

    Attributes:
        ok: False if the finding alone is enough to refuse the model.
        text: The sentence: which metric, value, threshold and slice.
    """

    ok: bool
    text: str


def judge(
    config: EvaluationConfig, candidate: Metrics, baseline: Metrics | None
) -> tuple[bool, tuple[Finding, ...]]:
    """The verdict on a candidate.

    Args:
        config: The rules, and what to do on the first run.
        candidate: Metrics of the candidate by slice; with p-values if `config.level` is set.
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
    if not names:
        few = "no slice has evaluation.min_slice_examples" if rule.sliced else "the split has no"
        text = f"{rule.key}: {few} examples."
        return [Finding(ok=False, text=text)]
    kept: list[Finding] = []
    broken: list[Finding] = []
    for name in names:
        ok, text = _judged(config, rule, name, candidate[name], baseline.get(name))
        (kept if ok else broken).append(Finding(ok=ok, text=text))
    if broken:
        return broken
    if not rule.sliced:
        return kept
    text = f"{rule.metric} in all {len(names)} slices keeps {_bound_text(rule)}."
    return [Finding(ok=True, text=text)]


def _judged(
    config: EvaluationConfig,
    rule: Rule,
    name: str,
    candidate: Mapping[str, float],
    baseline: Mapping[str, float] | None,
) -> tuple[bool, str]:
    """Whether one slice keeps a rule, and how, in words."""
    value, digits = candidate.get(rule.metric, math.nan), config.digits
    where = "" if name == OVERALL else f" in the slice {name}"
    if not math.isfinite(value):
        return False, (
            f"{rule.metric}{where} cannot be computed (got {value}){config.unmeasurable or '.'} "
            f"Demanded by {_bound_text(rule)}."
        )
    here = f"{rule.metric}{where} is {value:.{digits}f}"
    kept = True, f"{rule.metric}{where} {value:.{digits}f} keeps {_bound_text(rule)}."
    if rule.kind == "min":
        return kept if value >= rule.bound else (False, f"{here}, below {_bound_text(rule)}.")
    if rule.kind == "max":
        return kept if value <= rule.bound else (False, f"{here}, above {_bound_text(rule)}.")
    before = (baseline or {}).get(rule.metric, math.nan)
    if not math.isfinite(before):
        return kept
    change = f"{_distance(value - before, digits)} the last blessed model's {before:.{digits}f}"
    if rule.kind == "gain":
        return _gained(config, rule, f"{here}, {change}", value - before, candidate)
    worse = before - value if rule.kind == "drop" else value - before
    if worse <= rule.bound:
        return kept
    p_value = candidate.get(rule.metric + P_VALUE, math.nan)
    if config.level is not None and p_value >= config.level:
        return True, (
            f"{here}, {change}, but that is not significant (p = {p_value:.3f}, "
            f"evaluation.significance = {config.level:g}), so it keeps {_bound_text(rule)}."
        )
    sure = "" if config.level is None else _p_text(p_value)
    return False, f"{here}, {change}{sure}; {_bound_text(rule)} allows no more."


def _gained(
    config: EvaluationConfig, rule: Rule, here: str, gain: float, candidate: Mapping[str, float]
) -> tuple[bool, str]:
    """Whether the candidate is as much better as a rule demands, and if need be surely so."""
    if gain < rule.bound:
        return False, f"{here}; {_bound_text(rule)} demands more."
    if config.level is None:
        return True, f"{here}; that keeps {_bound_text(rule)}."
    p_value = candidate.get(rule.metric + P_VALUE, math.nan)
    if p_value < config.level:
        return True, f"{here}{_p_text(p_value)}; that keeps {_bound_text(rule)}."
    return False, (
        f"{here}, but that is not significant{_p_text(p_value)}; {_bound_text(rule)} with "
        f"evaluation.significance = {config.level:g} demands that it is."
    )


def _distance(difference: float, digits: int) -> str:
    if difference == 0:
        return "no different from"
    return f"{abs(difference):.{digits}f} {'above' if difference > 0 else 'below'}"


def _p_text(p_value: float) -> str:
    return f" (p = {p_value:.3f})" if math.isfinite(p_value) else " (without a p-value)"


def _bound_text(rule: Rule) -> str:
    return f"{rule.key} = {rule.bound:g}"
