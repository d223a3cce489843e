"""The gate's rules: what each task's configuration may demand of a model before it is pushed.

Its thresholds on metrics are in `thresholds`, those on data in `data_thresholds`; here they become
rules, beside all else that a gate is told. Imports no TensorFlow; `verdict.py` judges by the rules.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from babelrank.components.config import from_dict, option, section, to_dict
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation.data_thresholds import DataThresholds, LabelThresholds
from babelrank.components.evaluation.thresholds import (
    Kind,
    RankingThresholds,
    Thresholds,
    TranslationThresholds,
    parse,
    threshold_names,
)


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
    significance: float | None = option(
        None, "A drop or gain counts only if its p-value is below this; null: as it is."
    )
    data: DataThresholds = section(DataThresholds, "Bounds on the data that the model is made of.")
    force_bless: str | None = option(
        None,
        "Why this run's model is to be blessed even if the gate refuses it; for one run, so "
        "rather by --force-bless than in a file. The next models are then compared with it. A "
        "model that was rolled back stays refused.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_slice_examples < 1:
            raise ConfigError(f"min_slice_examples: got {self.min_slice_examples}; takes >= 1.")
        if self.force_bless is not None and not self.force_bless.strip():
            raise ConfigError("force_bless: got no reason; takes a sentence that says why.")
        if self.significance is not None and not 0 < self.significance < 1:
            raise ConfigError(
                f"significance: got {self.significance}; takes 0 < x < 1, such as 0.05, or null."
            )
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
class RankingEvaluationConfig(EvaluationConfig, RankingThresholds):
    """What a ranking model must reach to be pushed."""

    task: ClassVar[str] = "ranking"
    example: ClassVar[str] = (
        "min_auc and max_auc_drop (click) or max_rmse and max_rmse_rise (rating)"
    )
    unmeasurable: ClassVar[str] = "; does the split hold both labels, and is every score finite?"

    each_slice: RankingThresholds = section(RankingThresholds, "Bounds that every slice must keep.")
    significance: float | None = option(
        None,
        "A drop of AUC beyond max_auc_drop refuses a model only if its p-value by DeLong's test "
        "is below this, such as 0.05; null: any does. Drops of other metrics have no p-value and "
        "count as they are. Not with weights, which the test does not know.",
    )
    data: LabelThresholds = section(LabelThresholds, "Bounds on the data the model is made of.")
    query: str | None = option(
        None,
        "Categorical column that names the query, such as user_id: its rows compete for the first "
        "places, and ndcg, hit_rate and mrr are measured; null: they are not.",
    )
    top_k: int = option(10, "Places that ndcg, hit_rate and mrr are about.")
    lift_share: float = option(0.1, "Share of the rows, those with the highest scores, for lift.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k < 1:
            raise ConfigError(f"top_k: got {self.top_k}; takes 1 or more.")
        if not 0 < self.lift_share <= 1:
            raise ConfigError(f"lift_share: got {self.lift_share}; takes 0 < x <= 1.")
        for rule in rules(self):
            if rule.metric in QUERY_METRICS and self.query is None:
                raise ConfigError(
                    f"{rule.key.removeprefix('evaluation.')}: {rule.metric} is measured by query; "
                    f"name in query the categorical column whose values are the queries, such as "
                    f"user_id."
                )
        compared = [rule for rule in rules(self) if rule.metric == "auc" and not rule.absolute]
        if self.significance is not None and not compared:
            raise ConfigError(
                "significance: only AUC has a p-value; takes max_auc_drop beside it, or null."
            )


QUERY_METRICS = ("ndcg", "hit_rate", "mrr")
"""Those that are measured by query."""

METRICS = {
    "click": ("auc", "pr_auc", "log_loss", "calibration", "ece", "lift", *QUERY_METRICS),
    "rating": ("rmse", "calibration", "ndcg"),
}
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
    significance: float | None = option(
        None,
        "A drop or gain of BLEU or chrF counts only if its p-value by a paired bootstrap is below "
        "this, such as 0.05; null: as it is. With min_bleu_gain: 0, a model must be significantly "
        "better.",
    )
    each_slice: TranslationThresholds = section(
        TranslationThresholds, "Bounds that every slice must keep."
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
                metric, kind = parse(name)
                key = f"evaluation.{'each_slice.' if sliced else ''}{name}"
                found.append(Rule(key, metric, kind, bound, sliced))
    return found
