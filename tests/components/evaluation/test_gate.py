"""Tests of the gate's configurations: their errors, and the rules that they come to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation.gate import (
    METRICS,
    EvaluationConfig,
    RankingEvaluationConfig,
    Rule,
    TranslationEvaluationConfig,
    check_objective,
    from_json,
    rules,
    threshold_names,
    to_json,
)

NAN = math.nan


def gate(**keys: Any) -> RankingEvaluationConfig:
    return from_dict(RankingEvaluationConfig, keys, "evaluation")


def translation(**keys: Any) -> TranslationEvaluationConfig:
    return from_dict(TranslationEvaluationConfig, keys, "evaluation")


class TestConfig:
    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            (
                {},
                r"^evaluation\.min_auc: null, and so are all other thresholds; .* is none\. Set fo",
            ),
            ({"slices": ["a"]}, "all other thresholds"),
            (
                {"max_auc_drop": -0.1, "min_auc": 0.5},
                r"^evaluation\.max_auc_drop: got -0\.1; takes 0",
            ),
            ({"max_log_loss_rise": -1}, r"^evaluation\.max_log_loss_rise: got -1\.0"),
            (
                {"max_auc_drop": 0.1},
                r"^evaluation\.first_run: thresholds: needs at least one min or",
            ),
            (
                {"min_auc": 0.5, "each_slice": {"min_auc": 0.4}},
                r"^evaluation\.each_slice: has bound",
            ),
            ({"min_auc": 0.5, "min_slice_examples": 0}, r"^evaluation\.min_slice_examples: got 0"),
            ({"min_auc": 0.5, "first_run": "pass"}, r"^evaluation\.first_run: got 'pass'"),
            ({"min_auc": NAN}, r"^evaluation\.min_auc: got nan"),
            (
                {"slices": ["a"], "each_slice": {"max_rmse_rise": -1}},
                r"^evaluation\.each_slice\.max_rmse_rise: got -1\.0; takes 0 or more",
            ),
        ],
    )
    def test_errors(self, keys: dict[str, Any], message: str):
        with pytest.raises(ConfigError, match=message):
            gate(**keys)

    @pytest.mark.parametrize("policy", ["bless", "refuse"])
    def test_a_drop_alone_needs_a_policy(self, policy: str):
        assert gate(max_auc_drop=0.1, first_run=policy).first_run == policy

    @pytest.mark.parametrize(
        "config",
        [
            gate(min_auc=0.5, slices=["a"], each_slice={"max_log_loss": 1}),
            translation(min_bleu=20, each_slice={"min_chrf": 1}, significance=0.01),
        ],
    )
    def test_round_trip(self, config: EvaluationConfig):
        assert from_json(to_json(config)) == config

    def test_rules(self):
        config = gate(
            min_auc=0.5,
            max_pr_auc_drop=0.25,
            max_log_loss_rise=0,
            slices=["a"],
            each_slice={"max_calibration": 2},
        )
        assert rules(config) == [
            Rule("evaluation.min_auc", "auc", "min", 0.5, False),
            Rule("evaluation.max_pr_auc_drop", "pr_auc", "drop", 0.25, False),
            Rule("evaluation.max_log_loss_rise", "log_loss", "rise", 0.0, False),
            Rule("evaluation.each_slice.max_calibration", "calibration", "max", 2.0, True),
        ]

    def test_every_threshold_is_a_rule_on_a_known_metric(self):
        names = threshold_names(RankingEvaluationConfig)
        found = rules(gate(**dict.fromkeys(names, 0.5)))
        known = {metric for metrics in METRICS.values() for metric in metrics}
        assert len(found) == len(names) == 10
        assert {rule.metric for rule in found} == known

    def test_objective(self):
        check_objective(gate(min_auc=0.5, min_calibration=0.5), "click")
        check_objective(gate(max_rmse=1, min_calibration=0.5), "rating")
        with pytest.raises(ConfigError, match=r"^evaluation\.each_slice\.max_rmse: rmse is not m"):
            sliced = gate(min_auc=0.5, slices=["a"], each_slice={"max_rmse": 1})
            check_objective(sliced, "click")


class TestTranslation:
    def test_rules(self):
        found = rules(translation(**dict.fromkeys(threshold_names(TranslationEvaluationConfig), 1)))
        assert [(rule.metric, rule.kind, rule.absolute) for rule in found] == [
            ("bleu", "min", True),
            ("bleu", "drop", False),
            ("bleu", "gain", False),
            ("chrf", "min", True),
            ("chrf", "drop", False),
            ("chrf", "gain", False),
        ]

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({}, r"^evaluation\.min_bleu: null, .* Set for instance min_bleu and max_bleu_drop\."),
            ({"min_bleu_gain": -1}, r"^evaluation\.min_bleu_gain: got -1\.0; takes 0 or more"),
            ({"min_bleu_gain": 0}, r"^evaluation\.first_run: thresholds: needs"),
            ({"min_bleu": 1, "significance": 5}, r"^evaluation\.significance: got 5\.0; takes 0 <"),
            ({"min_bleu": 1, "min_auc": 0.5}, r"^evaluation\.min_auc: "),
            (
                {"slices": [], "min_bleu": 1, "each_slice": {"min_bleu": 1}},
                r"^evaluation\.each_slice: has bounds",
            ),
        ],
    )
    def test_errors(self, keys: dict[str, Any], message: str):
        with pytest.raises(ConfigError, match=message):
            translation(**keys)

    def test_differences_count_as_they_are_unless_a_level_is_set(self):
        assert translation(min_bleu=1).level is None
        assert translation(min_bleu=1, significance=0.05).level == 0.05
        assert gate(min_auc=0.5).level is None
