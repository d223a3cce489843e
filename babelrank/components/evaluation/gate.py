"""The gate's rules: what each task's configuration may demand of a model before it is pushed.

A threshold's name says what it is: `min_auc` and `max_rmse` bound a value; `max_bleu_drop`,
`max_rmse_rise` and `min_bleu_gain` bound the difference to the last blessed model. The classes of
a task list its thresholds; everything else knows no metric. Imports no TensorFlow; `verdict.py`
judges by the rules.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from babelrank.components.config import from_dict, option, section, to_dict
from babelrank.components.errors import ConfigError

Kind = Literal["min", "max", "drop", "rise", "gain"]


@dataclass(frozen=True)
class Rule:
    """One rule of the gate.

    Attributes:
        key: Its name in the configuration, such as `evaluation.min_auc`.
        metric: Name of the metric.
        kind: `min` or `max` for a bound on the value; `drop` or `rise` for a bound on how
            far it may fall below or rise above the last blessed model's; `gain` for a bound on
            how far it must rise above it.
        bound: The bound, not negative for `drop`, `rise` and `gain`.
        sliced: True when the rule is for every slice in place of the whole split.
    """

    key: str
    metric: str
    kind: Kind
    bound: float
    sliced: bool

    @property
    def absolute(self) -> bool:
        """True when the rule needs no baseline."""
        return self.kind in ("min", "max")


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Bounds on metrics, `float | None` fields named as the file's first lines say."""

    def __post_init__(self) -> None:
        for name in threshold_names(type(self)):
            value = getattr(self, name)
            if value is not None and _parse(name)[1] in ("drop", "rise", "gain") and value < 0:
                raise ConfigError(f"{name}: got {value}; takes 0 or more.")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Thresholds):
    """What a model must reach to be pushed; the base of every task's."""

    task: ClassVar[str] = ""
    example: ClassVar[str] = ""
    """For the error about missing thresholds: what one would set."""
    digits: ClassVar[int] = 4
    """Decimals of the metrics in sentences."""
    unmeasurable: ClassVar[str] = ""
    """Why a metric may not be computable, as the end of a sentence."""

    slices: tuple[str, ...] = option(
        (), "Features by whose values the metrics are also computed; a*b crosses two."
    )
    each_slice: Thresholds = section(Thresholds, "Bounds that every slice must keep.")
    min_slice_examples: int = option(100, "Slices with fewer examples are left out.")
    first_run: Literal["thresholds", "bless", "refuse"] = option(
        "thresholds",
        "Without a blessed model before: judge by the min and max bounds alone, bless "
        "whatever comes, or refuse.",
    )

    @property
    def level(self) -> float | None:
        """A difference counts only if its p-value is below this; None if it always counts."""
        return None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_slice_examples < 1:
            raise ConfigError(f"min_slice_examples: got {self.min_slice_examples}; takes >= 1.")
        found = rules(self)
        if not found:
            (first, *_) = threshold_names(type(self.each_slice))
            raise ConfigError(
                f"{first}: null, and so are all other thresholds; a gate that lets everything pass "
                f"is none. Set for instance {self.example}."
            )
        if self.first_run == "thresholds" and not any(rule.absolute for rule in found):
            raise ConfigError(
                "first_run: thresholds: needs at least one min or max bound; set one, or choose "
                "first_run: bless or refuse."
            )
        if any(rule.sliced for rule in found) and not self.slices:
            raise ConfigError("each_slice: has bounds, but slices is empty; name features there.")


@dataclass(frozen=True, kw_only=True)
class RankingThresholds(Thresholds):
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


@dataclass(frozen=True, kw_only=True)
class RankingEvaluationConfig(EvaluationConfig, RankingThresholds):
    """What a ranking model must reach to be pushed."""

    task: ClassVar[str] = "ranking"
    example: ClassVar[str] = (
        "min_auc and max_auc_drop (click) or max_rmse and max_rmse_rise (rating)"
    )
    unmeasurable: ClassVar[str] = "; does the split hold both labels?"

    each_slice: RankingThresholds = section(RankingThresholds, "Bounds that every slice must keep.")


METRICS = {"click": ("auc", "pr_auc", "log_loss", "calibration"), "rating": ("rmse", "calibration")}
"""Ranking metrics of each objective."""


def check_objective(config: RankingEvaluationConfig, objective: str) -> None:
    """Raises ConfigError when a rule's metric is not computed for the objective."""
    for rule in rules(config):
        if rule.metric not in METRICS[objective]:
            raise ConfigError(
                f"{rule.key}: {rule.metric} is not measured for objective: {objective}; takes "
                f"bounds on {', '.join(METRICS[objective])}."
            )


@dataclass(frozen=True, kw_only=True)
class TranslationThresholds(Thresholds):
    """Bounds on translation metrics, from 0 to 100; null: no bound."""

    min_bleu: float | None = option(None, "Smallest BLEU (sacreBLEU, cased).")
    max_bleu_drop: float | None = option(
        None, "BLEU at most so far below the last blessed model's."
    )
    min_bleu_gain: float | None = option(
        None, "BLEU at least so far above the last blessed model's."
    )
    min_chrf: float | None = option(None, "Smallest chrF.")
    max_chrf_drop: float | None = option(None, "chrF at most so far below the baseline's.")
    min_chrf_gain: float | None = option(None, "chrF at least so far above the baseline's.")


@dataclass(frozen=True, kw_only=True)
class TranslationEvaluationConfig(EvaluationConfig, TranslationThresholds):
    """What a translation model must reach to be pushed."""

    task: ClassVar[str] = "translation"
    example: ClassVar[str] = "min_bleu and max_bleu_drop"
    digits: ClassVar[int] = 2

    slices: tuple[str, ...] = option(
        ("source_length",),
        "Features by whose values the metrics are also computed: source_length (a bucket), "
        "origin (the file); a*b crosses two.",
    )
    each_slice: TranslationThresholds = section(
        TranslationThresholds, "Bounds that every slice must keep."
    )
    significance: float | None = option(
        None,
        "A drop or gain counts only if the paired bootstrap's p-value is below this, such as "
        "0.05; null: as it is. With min_bleu_gain: 0, a model must be significantly better.",
    )

    @property
    def level(self) -> float | None:
        """A difference counts only if its p-value is below this; None if it always counts."""
        return self.significance

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.significance is not None and not 0 < self.significance < 1:
            raise ConfigError(
                f"significance: got {self.significance}; takes 0 < x < 1, such as 0.05, or null."
            )


_CLASSES: dict[str, type[EvaluationConfig]] = {
    "ranking": RankingEvaluationConfig,
    "translation": TranslationEvaluationConfig,
}


def to_json(config: EvaluationConfig) -> str:
    """The configuration as the Evaluator's property."""
    return json.dumps({"task": config.task, **to_dict(config)}, sort_keys=True)


def from_json(text: str) -> EvaluationConfig:
    """The configuration of `to_json`."""
    data: dict[str, Any] = json.loads(text)
    return from_dict(_CLASSES[data.pop("task")], data, "evaluation")


def rules(config: EvaluationConfig) -> list[Rule]:
    """The rules that are set."""
    found = []
    names = threshold_names(type(config.each_slice))
    for sliced, thresholds in ((False, config), (True, config.each_slice)):
        for name in names:
            bound = getattr(thresholds, name)
            if bound is not None:
                metric, kind = _parse(name)
                key = f"evaluation.{'each_slice.' if sliced else ''}{name}"
                found.append(Rule(key, metric, kind, bound, sliced))
    return found


def threshold_names(cls: type[Thresholds]) -> tuple[str, ...]:
    """Names of the thresholds of a class, in order."""
    base = {field.name for field in dataclasses.fields(EvaluationConfig)}
    names = (field.name for field in dataclasses.fields(cls))
    return tuple(n for n in names if n.startswith(("min_", "max_")) and n not in base)


def _parse(name: str) -> tuple[str, Kind]:
    """Metric and kind of a threshold's name."""
    bound, _, metric = name.partition("_")
    kinds: tuple[Kind, ...] = ("drop", "rise", "gain")
    for kind in kinds:
        if metric.endswith(f"_{kind}"):
            return metric.removesuffix(f"_{kind}"), kind
    return metric, "min" if bound == "min" else "max"
