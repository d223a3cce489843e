"""Tests of the gate's configurations: their errors, and the rules that they come to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation.gate import (
    METRICS,
    QUERY_METRICS,
    EvaluationConfig,
    RankingEvaluationConfig,
    Rule,
    TranslationEvaluationConfig,
    check_objective,
    from_json,
    rules,
    to_json,
)
from babelrank.components.evaluation.thresholds import threshold_names

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
            ({"min_ndcg": 0.5}, r"^evaluation\.min_ndcg: ndcg is measured by query; name in query"),
            (
                {"min_auc": 0.5, "slices": ["a"], "each_slice": {"max_mrr_drop": 0.1}},
                r"^evaluation\.each_slice\.max_mrr_drop: mrr is measured by query",
            ),
            (
                {"min_auc": 0.5, "max_auc_drop": 0, "significance": 1},
                r"^evaluation\.significance: go",
            ),
            (
                {"min_auc": 0.5, "max_log_loss_rise": 0, "significance": 0.05},
                r"^evaluation\.significance: only AUC has a p-value; takes max_auc_drop beside it",
            ),
            ({"min_auc": 0.5, "top_k": 0}, r"^evaluation\.top_k: got 0; takes 1 or more"),
            ({"min_auc": 0.5, "lift_share": 0}, r"^evaluation\.lift_share: got 0\.0; takes 0 < x"),
            ({"min_auc": 0.5, "lift_share": 1.5}, r"^evaluation\.lift_share: got 1\.5"),
            ({"min_auc": 0.5, "force_bless": " "}, r"^evaluation\.force_bless: got no reason; tak"),
            ({"min_auc": 0.5, "force_bless": True}, r"^evaluation\.force_bless: got True"),
            (
                {"min_auc": 0.5, "data": {"max_quarantined": 2}},
                r"^evaluation\.data\.max_quarantined: got 2\.0; takes 0 to 1",
            ),
            (
                {"min_auc": 0.5, "data": {"max_anomalies": -1}},
                r"^evaluation\.data\.max_anomalies: got -1; takes 0 or more",
            ),
            (
                {"min_auc": 0.5, "data": {"min_label_rate": 0.5, "max_label_rate": 0.25}},
                r"^evaluation\.data\.min_label_rate: got 0\.5; takes at most max_label_rate, 0\.25",
            ),
            (
                {"min_auc": 0.5, "data": {"max_label_rate_change": -1}},
                r"^evaluation\.data\.max_label_rate_change: got -1\.0; takes 0 or more",
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
            gate(min_ndcg=0.5, query="user", top_k=3, data={"max_label_rate": 0.5}),
            gate(min_auc=0.5, lift_share=0.2, force_bless="a holiday"),
            translation(min_bleu=20, data={"max_quarantined": 0.1, "max_anomalies": 0}),
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
        found = rules(gate(**dict.fromkeys(names, 0.5), query="user"))
        known = {metric for metrics in METRICS.values() for metric in metrics}
        assert len(found) == len(names) == 20
        assert {rule.metric for rule in found} == known

    def test_objective(self):
        check_objective(gate(min_auc=0.5, min_calibration=0.5), "click")
        check_objective(gate(max_rmse=1, min_calibration=0.5), "rating")
        check_objective(gate(**{f"min_{name}": 0.5 for name in QUERY_METRICS}, query="u"), "click")
        check_objective(gate(min_ndcg=0.5, query="user"), "rating")
        with pytest.raises(ConfigError, match=r"^evaluation\.min_mrr: mrr is not measured for obj"):
            check_objective(gate(min_mrr=0.5, query="user"), "rating")
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
                {"min_bleu": 1, "data": {"max_label_rate": 1}},
                r"^evaluation\.data\.max_label_rate: ",
            ),
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
        assert translation(min_bleu=1).significance is None
        assert translation(min_bleu=1, significance=0.05).significance == 0.05
        assert gate(min_auc=0.5).significance is None
        config = gate(min_auc=0.5, slices=["a"], each_slice={"max_auc_drop": 0}, significance=0.05)
        assert config.significance == 0.05
