"""The gate: which metric must not be worse than what, overall and in every slice, and why not.

Imports no TensorFlow; `evaluator.py` turns the rules into TFMA's configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the verdict.

    Attributes:
        ok: False if the finding alone is enough to refuse the model.
        text: The sentence: which metric, value, threshold and slice.
    """

    ok: bool
    text: str


@dataclass(frozen=True)
class Rule:
    """One rule of the gate.

    Attributes:
        key: Its name in the configuration, such as `evaluation.min_auc`.
        metric: Name of the metric.
        kind: `min` or `max` for a bound on the value; `drop` or `rise` for a bound on how
            far it may fall below or rise above the last blessed model's.
        bound: The bound, not negative for `drop` and `rise`.
        sliced: True when the rule is for every slice in place of the whole split.
    """

    key: str
    metric: str
    kind: Literal["min", "max", "drop", "rise"]
    bound: float
    sliced: bool

    @property
    def absolute(self) -> bool:
        """True when the rule needs no baseline."""
        return self.kind in ("min", "max")


@dataclass(frozen=True, kw_only=True)
class ThresholdsConfig:
    """Bounds on ranking metrics; null: no bound."""

    min_auc: float | None = option(None, "Smallest AUC (click).")
    max_auc_drop: float | None = option(None, "AUC at most so far below the last blessed model's.")
    min_pr_auc: float | None = option(None, "Smallest area under precision and recall (click).")
    max_pr_auc_drop: float | None = option(None, "PR-AUC at most so far below the baseline's.")
    max_log_loss: float | None = option(None, "Largest log loss (click).")
    max_log_loss_rise: float | None = option(None, "Log loss at most so far above the baseline's.")
    min_calibration: float | None = option(None, "Smallest mean prediction / mean label.")
    max_calibration: float | None = option(None, "Largest mean prediction / mean label.")
    max_rmse: float | None = option(None, "Largest root mean squared error (rating).")
    max_rmse_rise: float | None = option(None, "RMSE at most so far above the baseline's.")

    def __post_init__(self) -> None:
        for name in THRESHOLDS:
            value = getattr(self, name)
            if value is not None and name.endswith(("_drop", "_rise")) and value < 0:
                raise ConfigError(f"{name}: got {value}; takes 0 or more.")


THRESHOLDS = tuple(ThresholdsConfig.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(ThresholdsConfig):
    """What a model must reach to be pushed."""

    slices: tuple[str, ...] = option(
        (), "Features by whose values the metrics are also computed; a*b crosses two."
    )
    each_slice: ThresholdsConfig = section(ThresholdsConfig, "Bounds that every slice must keep.")
    min_slice_examples: int = option(100, "Slices with fewer examples are left out.")
    first_run: Literal["thresholds", "bless", "refuse"] = option(
        "thresholds",
        "Without a blessed model before: judge by the min and max bounds alone, bless "
        "whatever comes, or refuse.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_slice_examples < 1:
            raise ConfigError(f"min_slice_examples: got {self.min_slice_examples}; takes >= 1.")
        found = rules(self)
        if not found:
            raise ConfigError(
                "min_auc: null, and so are all other thresholds; a gate that lets everything pass "
                "is none. Set for instance min_auc and max_auc_drop (click) or max_rmse and "
                "max_rmse_rise (rating)."
            )
        if self.first_run == "thresholds" and not any(rule.absolute for rule in found):
            raise ConfigError(
                "first_run: thresholds: needs at least one min or max bound; set one, or choose "
                "first_run: bless or refuse."
            )
        if any(rule.sliced for rule in found) and not self.slices:
            raise ConfigError("each_slice: has bounds, but slices is empty; name features there.")


METRICS = {"click": ("auc", "pr_auc", "log_loss", "calibration"), "rating": ("rmse", "calibration")}
"""Metrics of each objective."""


def rules(config: EvaluationConfig) -> list[Rule]:
    """The rules that are set."""
    found = []
    for sliced, thresholds in ((False, config), (True, config.each_slice)):
        for name in THRESHOLDS:
            bound = getattr(thresholds, name)
            if bound is not None:
                metric, kind = _parse(name)
                key = f"evaluation.{'each_slice.' if sliced else ''}{name}"
                found.append(Rule(key, metric, kind, bound, sliced))
    return found


def check_objective(config: EvaluationConfig, objective: str) -> None:
    """Raises ConfigError when a rule's metric is not computed for the objective."""
    for rule in rules(config):
        if rule.metric not in METRICS[objective]:
            raise ConfigError(
                f"{rule.key}: {rule.metric} is not measured for objective: {objective}; takes "
                f"bounds on {', '.join(METRICS[objective])}."
            )


def _parse(name: str) -> tuple[str, Literal["min", "max", "drop", "rise"]]:
    bound, _, metric = name.partition("_")
    if metric.endswith("_drop"):
        return metric.removesuffix("_drop"), "drop"
    if metric.endswith("_rise"):
        return metric.removesuffix("_rise"), "rise"
    return metric, "min" if bound == "min" else "max"


OVERALL = "overall"
"""Name of the slice that is the whole split."""

Metrics = Mapping[str, Mapping[str, float]]
"""Slice name to metric name to value."""


def judge(
    config: EvaluationConfig, candidate: Metrics, baseline: Metrics | None
) -> tuple[bool, tuple[Finding, ...]]:
    """The verdict on a candidate.

    Args:
        config: The rules, and what to do on the first run.
        candidate: Metrics of the candidate by slice.
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
            findings += _check(rule, candidate, baseline or {})
    return all(finding.ok for finding in findings), tuple(findings)


def _check(rule: Rule, candidate: Metrics, baseline: Metrics) -> list[Finding]:
    names = [n for n in candidate if (n != OVERALL) == rule.sliced]
    if not names:
        few = "no slice has evaluation.min_slice_examples" if rule.sliced else "the split has no"
        text = f"{rule.key}: {few} examples."
        return [Finding(ok=False, text=text)]
    broken = []
    for name in names:
        fault = _broken(rule, name, candidate[name], baseline.get(name))
        if fault is not None:
            broken.append(Finding(ok=False, text=fault))
    if broken:
        return broken
    value = candidate[OVERALL].get(rule.metric, math.nan)
    where = f"in all {len(names)} slices" if rule.sliced else f"{value:.4f}"
    return [Finding(ok=True, text=f"{rule.metric} {where} keeps {_bound_text(rule)}.")]


def _broken(
    rule: Rule, name: str, candidate: Mapping[str, float], baseline: Mapping[str, float] | None
) -> str | None:
    """What is wrong with one slice, in words; None when nothing is."""
    value = candidate.get(rule.metric, math.nan)
    where = "" if name == OVERALL else f" in the slice {name}"
    if not math.isfinite(value):
        return (
            f"{rule.metric}{where} cannot be computed (got {value}); does the split hold both "
            f"labels? Demanded by {_bound_text(rule)}."
        )
    if rule.kind == "min" and value < rule.bound:
        return f"{rule.metric}{where} is {value:.4f}, below {_bound_text(rule)}."
    if rule.kind == "max" and value > rule.bound:
        return f"{rule.metric}{where} is {value:.4f}, above {_bound_text(rule)}."
    if rule.absolute or baseline is None or not math.isfinite(baseline.get(rule.metric, math.nan)):
        return None
    before = baseline[rule.metric]
    worse = before - value if rule.kind == "drop" else value - before
    if worse <= rule.bound:
        return None
    return (
        f"{rule.metric}{where} is {value:.4f}, {worse:.4f} "
        f"{'below' if rule.kind == 'drop' else 'above'} the last blessed model's {before:.4f}; "
        f"{_bound_text(rule)} allows no more."
    )


def _bound_text(rule: Rule) -> str:
    return f"{rule.key} = {rule.bound:g}"
