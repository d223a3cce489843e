"""Tests of the verdict: every kind of rule, in slices and overall, and the words it finds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.evaluation.gate import (
    EvaluationConfig,
    RankingEvaluationConfig,
    TranslationEvaluationConfig,
    rules,
)
from babelrank.components.evaluation.verdict import OVERALL, intervals, judge, p_values, values

NAN = math.nan


def gate(**keys: Any) -> RankingEvaluationConfig:
    return from_dict(RankingEvaluationConfig, keys, "evaluation")


def texts(
    config: EvaluationConfig, candidate: dict[str, Any], baseline: dict[str, Any] | None
) -> tuple[bool, list[str]]:
    """The verdict, with each finding's sign before its text."""
    blessed, findings = judge(config, candidate, baseline)
    return blessed, [f"{'+' if f.ok else '-'} {f.text}" for f in findings]


class TestAbsolute:
    @pytest.mark.parametrize(
        ("key", "bound", "metric", "good", "bad", "words"),
        [
            ("min_auc", 0.75, "auc", 0.75, 0.7499, "auc is 0.7499, below"),
            ("min_pr_auc", 0.5, "pr_auc", 0.6, 0.4, "pr_auc is 0.4000, below"),
            ("max_log_loss", 0.5, "log_loss", 0.5, 0.75, "log_loss is 0.7500, above"),
            ("min_calibration", 0.5, "calibration", 0.5, 0.25, "calibration is 0.2500, below"),
            ("max_calibration", 1.5, "calibration", 1.5, 2.0, "calibration is 2.0000, above"),
            ("max_rmse", 1.0, "rmse", 1.0, 1.25, "rmse is 1.2500, above"),
        ],
    )
    @pytest.mark.parametrize("baseline", [None, {OVERALL: {}}])
    def test_bound(
        self,
        key: str,
        bound: float,
        metric: str,
        good: float,
        bad: float,
        words: str,
        baseline: Any,
    ):
        first = (
            [] if baseline else ["+ No model was blessed before: only the min and max bounds ar"]
        )
        blessed, found = texts(gate(**{key: bound}), {OVERALL: {metric: good}}, baseline)
        assert blessed
        assert found[-1] == f"+ {metric} {good:.4f} keeps evaluation.{key} = {bound:g}."
        assert [text[: len(first[0])] for text in found[:-1]] == first
        blessed, found = texts(gate(**{key: bound}), {OVERALL: {metric: bad}}, baseline)
        assert not blessed
        assert found[-1] == f"- {words} evaluation.{key} = {bound:g}."

    @pytest.mark.parametrize("value", [NAN, math.inf, -math.inf, None])
    @pytest.mark.parametrize("key", ["min_auc", "max_calibration", "max_auc_drop"])
    def test_what_is_not_finite_is_refused(self, key: str, value: float | None):
        config = gate(**{key: 0.5, "first_run": "refuse"})
        metric = rules(config)[0].metric
        candidate = {OVERALL: {} if value is None else {metric: value}}
        blessed, found = texts(config, candidate, {OVERALL: {metric: 0.5}})
        assert not blessed
        assert found[0].startswith(f"- {metric} cannot be computed (got ")
        assert found[0].endswith(f"Demanded by evaluation.{key} = 0.5.")


class TestRelative:
    @pytest.mark.parametrize(
        ("key", "metric", "good", "bad", "words"),
        [
            ("max_auc_drop", "auc", 0.5, 0.25, "0.5000 below"),
            ("max_pr_auc_drop", "pr_auc", 0.5, 0.25, "0.5000 below"),
            ("max_log_loss_rise", "log_loss", 1.0, 1.25, "0.5000 above"),
            ("max_rmse_rise", "rmse", 1.0, 1.25, "0.5000 above"),
        ],
    )
    def test_bound(self, key: str, metric: str, good: float, bad: float, words: str):
        config = gate(**{key: 0.25, "first_run": "bless"})
        baseline = {OVERALL: {metric: 0.75}}
        assert judge(config, {OVERALL: {metric: good}}, baseline)[0]
        blessed, found = texts(config, {OVERALL: {metric: bad}}, baseline)
        assert not blessed
        assert found == [
            f"- {metric} is {bad:.4f}, {words} the last blessed model's 0.7500; "
            f"evaluation.{key} = 0.25 allows no more."
        ]

    def test_better_is_always_fine(self):
        config = gate(max_auc_drop=0, max_log_loss_rise=0, first_run="bless")
        candidate = {OVERALL: {"auc": 0.9, "log_loss": 0.1}}
        assert judge(config, candidate, {OVERALL: {"auc": 0.8, "log_loss": 0.2}})[0]
        assert judge(config, candidate, candidate)[0]

    def test_a_baseline_that_cannot_be_computed_demands_nothing(self):
        config = gate(max_auc_drop=0, first_run="bless")
        assert judge(config, {OVERALL: {"auc": 0.1}}, {OVERALL: {"auc": NAN}})[0]
        assert judge(config, {OVERALL: {"auc": 0.1}}, {})[0]


class TestAtTheBound:
    """What floating point makes of a bound, and what is only little beyond it."""

    @pytest.mark.parametrize(
        ("key", "bound", "value", "before"),
        [
            ("max_auc_drop", 0.01, 0.70, 0.71),
            ("max_rmse_rise", 0.1, 0.4, 0.3),
            ("min_auc", 0.3, 0.1 * 3 - 1e-16, NAN),
            ("max_rmse", 0.3, 0.1 + 0.2, NAN),
        ],
    )
    def test_noise_breaks_no_rule(self, key: str, bound: float, value: float, before: float):
        config = gate(**{key: bound, "first_run": "bless"})
        metric = rules(config)[0].metric
        blessed, found = texts(config, {OVERALL: {metric: value}}, {OVERALL: {metric: before}})
        assert blessed
        assert found[0].endswith(f"keeps evaluation.{key} = {bound:g}.")

    def test_noise_is_no_lack_of_gain(self):
        assert judge(translation(min_bleu_gain=0.1), bleu(30.4), bleu(30.3))[0]

    def test_noise_is_not_counted_as_beyond(self):
        config = gate(
            slices=["os"], first_run="bless", each_slice={"max_auc_drop": 0.01}, significance=0.05
        )
        candidate = {"os=a": {"auc": 0.7, "auc_p_value": 0.2}}
        _, found = texts(config, candidate, {"os=a": {"auc": 0.71}})
        assert found == [
            "+ auc in the only slice keeps evaluation.each_slice.max_auc_drop = 0.01 (the worst is "
            "os=a: 0.7000, 0.0100 below the last blessed model's)."
        ]

    @pytest.mark.parametrize(
        ("key", "bound", "value", "words"),
        [
            ("min_auc", 0.6, 0.59998, "auc is 0.59998, below evaluation.min_auc = 0.6."),
            ("min_auc", 0.6, 0.599999998, "auc is 0.599999998, below evaluation.min_auc = 0.6."),
            ("min_auc", 0.6, 0.5999, "auc is 0.5999, below evaluation.min_auc = 0.6."),
            ("max_rmse", 0.61234642, 0.6123466, "rmse is 0.612347, above evaluation.max_rmse = "
             "0.61234642."),
        ],
    )  # fmt: skip
    def test_a_refusal_has_digits_that_show_it(
        self, key: str, bound: float, value: float, words: str
    ):
        config = gate(**{key: bound})
        metric = rules(config)[0].metric
        assert texts(config, {OVERALL: {metric: value}}, {}) == (False, [f"- {words}"])

    def test_so_has_the_refusal_of_a_change(self):
        config = gate(max_auc_drop=0.01, first_run="bless")
        _, found = texts(config, {OVERALL: {"auc": 0.69998}}, {OVERALL: {"auc": 0.71}})
        assert found == [
            "- auc is 0.69998, 0.01002 below the last blessed model's 0.71000; "
            "evaluation.max_auc_drop = 0.01 allows no more."
        ]
        _, found = texts(translation(min_bleu_gain=1), bleu(30.998), bleu(30))
        assert found == [
            "- bleu is 30.998, 0.998 above the last blessed model's 30.000; "
            "evaluation.min_bleu_gain = 1 demands more."
        ]

    def test_so_has_one_that_is_let_pass(self):
        config = gate(
            slices=["os"], first_run="bless", each_slice={"max_auc_drop": 0.01}, significance=0.05
        )
        candidate = {"os=a": {"auc": 0.69998, "auc_p_value": 0.2}}
        _, found = texts(config, candidate, {"os=a": {"auc": 0.71}})
        assert "0.69998, 0.01002 below the last blessed model's; 1 beyond it" in found[0]


class TestSignificance:
    def test_a_drop_of_auc_that_chance_may_have_made(self):
        config = gate(max_auc_drop=0.01, first_run="bless", significance=0.05)
        baseline = {OVERALL: {"auc": 0.75}}
        for p_value, blessed in ((0.2, True), (0.01, False)):
            candidate = {OVERALL: {"auc": 0.7, "auc_p_value": p_value}}
            assert judge(config, candidate, baseline)[0] is blessed

    def test_slices_that_are_let_pass_for_that_are_counted(self):
        config = gate(
            slices=["os"], first_run="bless", each_slice={"max_auc_drop": 0.01}, significance=0.05
        )
        candidate = {"os=a": {"auc": 0.7, "auc_p_value": 0.2}, "os=b": {"auc": 0.75}}
        blessed, found = texts(config, candidate, {name: {"auc": 0.75} for name in candidate})
        assert blessed
        assert found == [
            "+ auc in all 2 slices keeps evaluation.each_slice.max_auc_drop = 0.01 (the worst is "
            "os=a: 0.7000, 0.0500 below the last blessed model's; 1 beyond it, but not "
            "significantly)."
        ]


class TestFirstRun:
    CANDIDATE = {OVERALL: {"auc": 0.6}}

    def test_thresholds(self):
        config = gate(min_auc=0.5, max_auc_drop=0.1)
        blessed, found = texts(config, self.CANDIDATE, None)
        assert blessed
        assert found == [
            "+ No model was blessed before: only the min and max bounds are applied.",
            "+ auc 0.6000 keeps evaluation.min_auc = 0.5.",
        ]
        assert not judge(gate(min_auc=0.7), self.CANDIDATE, None)[0]

    def test_bless_takes_whatever_comes(self):
        blessed, found = texts(gate(min_auc=0.7, first_run="bless"), self.CANDIDATE, None)
        assert blessed
        assert found == [
            "+ No model was blessed before, and evaluation.first_run: bless takes the first one."
        ]

    def test_refuse_refuses_even_a_good_one(self):
        blessed, found = texts(gate(min_auc=0.5, first_run="refuse"), self.CANDIDATE, None)
        assert not blessed
        assert found[0].startswith(
            "- No model was blessed before, and evaluation.first_run: refuse"
        )
        assert found[1] == "+ auc 0.6000 keeps evaluation.min_auc = 0.5."

    @pytest.mark.parametrize("policy", ["thresholds", "bless", "refuse"])
    def test_the_second_run_ignores_it(self, policy: str):
        config = gate(min_auc=0.5, first_run=policy)
        assert judge(config, self.CANDIDATE, self.CANDIDATE)[0]
        assert not judge(config, {OVERALL: {"auc": 0.4}}, self.CANDIDATE)[0]


class TestSlices:
    CONFIG = gate(min_auc=0.5, slices=["os"], each_slice={"min_auc": 0.75, "max_auc_drop": 0.125})

    def test_the_rule_of_a_slice_is_not_for_the_whole(self):
        candidate = {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.8}, "os=b": {"auc": 0.9}}
        blessed, found = texts(self.CONFIG, candidate, candidate)
        assert blessed
        assert found == [
            "+ auc 0.6000 keeps evaluation.min_auc = 0.5.",
            "+ auc in all 2 slices keeps evaluation.each_slice.min_auc = 0.75 (the worst is os=a: "
            "0.8000).",
            "+ auc in all 2 slices keeps evaluation.each_slice.max_auc_drop = 0.125 (the worst is "
            "os=a: 0.8000, no different from the last blessed model's).",
        ]

    def test_the_rule_of_the_whole_is_not_for_a_slice(self):
        config = gate(min_auc=0.5, slices=["os"])
        assert judge(config, {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.1}}, None)[0]

    def test_each_broken_slice_is_named(self):
        candidate = {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.5}, "os=b": {"auc": 0.8}}
        baseline = {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.5}, "os=b": {"auc": 1.0}}
        blessed, found = texts(self.CONFIG, candidate, baseline)
        assert not blessed
        assert found[1:] == [
            "- auc in the slice os=a is 0.5000, below evaluation.each_slice.min_auc = 0.75.",
            "- auc in the slice os=b is 0.8000, 0.2000 below the last blessed model's 1.0000; "
            "evaluation.each_slice.max_auc_drop = 0.125 allows no more.",
        ]

    def test_long_names_are_cut(self):
        name = "os=" + "a" * 3_000_000
        cut = "os=" + "a" * 196 + "…"
        candidate = {OVERALL: {"auc": 0.6}, name: {"auc": 0.5}}
        _, found = texts(self.CONFIG, candidate, {OVERALL: {"auc": 0.6}})
        assert found[1].startswith(f"- auc in the slice {cut} is 0.5000, below ")
        _, found = texts(self.CONFIG, {OVERALL: {"auc": 0.6}, name: {"auc": 0.8}}, None)
        assert f"(the worst is {cut}: 0.8000)" in found[2]
        _, found = texts(self.CONFIG, {OVERALL: {"auc": 0.6}}, candidate)
        assert f"- The slice {cut} was measured for the last" in found[2]

    def test_the_worst_slice_comes_first(self):
        drops = {"b": 0.25, "a": 0.375, "c": 0.125, "d": 0.0}
        candidate = {OVERALL: {"auc": 0.6}} | {f"os={n}": {"auc": 1 - d} for n, d in drops.items()}
        baseline = {name: {"auc": 1.0} for name in candidate}
        config = gate(slices=["os"], first_run="bless", each_slice={"max_auc_drop": 0.0625})
        blessed, found = texts(config, candidate, baseline)
        assert not blessed
        assert [text.split(",")[0] for text in found] == [
            "- auc in the slice os=a is 0.6250",
            "- auc in the slice os=b is 0.7500",
            "- auc in the slice os=c is 0.8750",
        ]

    def test_many_broken_slices_are_counted(self):
        candidate = {OVERALL: {"auc": 0.6}} | {f"os={n}": {"auc": n / 100} for n in range(12)}
        _, found = texts(self.CONFIG, candidate, None)
        broken = [text for text in found if text.startswith("-")]
        assert broken[0].startswith("- auc in the slice os=0 is 0.0000, below")
        assert broken[5:] == ["- And 7 more slices break evaluation.each_slice.min_auc = 0.75."]

    def test_one_that_cannot_be_computed_is_the_worst(self):
        candidate = {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.1}, "os=b": {"auc": NAN}}
        _, found = texts(self.CONFIG, candidate, None)
        assert found[2].startswith("- auc in the slice os=b cannot be computed")

    def test_a_new_slice_has_nothing_to_fall_below(self):
        candidate = {OVERALL: {"auc": 0.6}, "os=new": {"auc": 0.75}}
        blessed, found = texts(self.CONFIG, candidate, {OVERALL: {"auc": 0.6}})
        assert blessed
        assert found[-1] == (
            "+ auc in the only slice keeps evaluation.each_slice.max_auc_drop = 0.125; there is "
            "nothing to compare with."
        )
        more = candidate | {"os=a": {"auc": 0.75}}
        _, found = texts(self.CONFIG, more, {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.8125}})
        assert found[-1] == (
            "+ auc in all 2 slices keeps evaluation.each_slice.max_auc_drop = 0.125 (the worst is "
            "os=a: 0.7500, 0.0625 below the last blessed model's; 1 without a value of the last "
            "blessed model)."
        )

    def test_a_slice_that_only_the_baseline_has(self):
        candidate = {OVERALL: {"auc": 0.6}, "os=a": {"auc": 0.8}}
        blessed, found = texts(self.CONFIG, candidate, {**candidate, "os=b": {"auc": 0.8}})
        assert not blessed
        assert [text for text in found if text.startswith("-")] == [
            "- The slice os=b was measured for the last blessed model, and not for this one."
        ]

    def test_no_slice_is_large_enough(self):
        blessed, found = texts(self.CONFIG, {OVERALL: {"auc": 0.6}}, None)
        assert not blessed
        assert found[-1] == (
            "- evaluation.each_slice.min_auc: no slice has evaluation.min_slice_examples examples."
        )

    def test_no_examples_at_all(self):
        blessed, found = texts(gate(min_auc=0.5), {}, {})
        assert not blessed
        assert found == ["- evaluation.min_auc: the split has no examples."]

    def test_a_slice_with_one_label_only(self):
        blessed, found = texts(self.CONFIG, {OVERALL: {"auc": 0.6}, "os=a": {"auc": NAN}}, None)
        assert not blessed
        assert "- auc in the slice os=a cannot be computed (got nan); does" in found[-1]


def translation(**keys: Any) -> TranslationEvaluationConfig:
    return from_dict(TranslationEvaluationConfig, {"first_run": "bless", **keys}, "evaluation")


def bleu(value: float, p_value: float | None = None) -> dict[str, Any]:
    return {OVERALL: {"bleu": value} | ({} if p_value is None else {"bleu_p_value": p_value})}


class TestTranslation:
    def test_two_decimals(self):
        blessed, found = texts(translation(min_bleu=20, min_chrf=50), bleu(19.987), bleu(1))
        assert not blessed
        assert found == [
            "- bleu is 19.99, below evaluation.min_bleu = 20.",
            "- chrf cannot be computed (got nan). Demanded by evaluation.min_chrf = 50.",
        ]

    def test_a_drop_without_significance_counts_as_it_is(self):
        config = translation(max_bleu_drop=0.5)
        assert judge(config, bleu(29.5, 0.9), bleu(30))[0]
        assert texts(config, bleu(29.25, 0.9), bleu(30)) == (
            False,
            [
                "- bleu is 29.25, 0.75 below the last blessed model's 30.00; "
                "evaluation.max_bleu_drop = 0.5 allows no more."
            ],
        )

    def test_a_drop_that_is_not_significant_is_let_pass_with_a_word(self):
        config = translation(max_bleu_drop=0.5, significance=0.05)
        assert texts(config, bleu(29, 0.05), bleu(30)) == (
            True,
            [
                "+ bleu is 29.00, 1.00 below the last blessed model's 30.00, but that is not "
                "significant (p = 0.050, evaluation.significance = 0.05), so it keeps "
                "evaluation.max_bleu_drop = 0.5."
            ],
        )
        assert texts(config, bleu(29, 0.049), bleu(30)) == (
            False,
            [
                "- bleu is 29.00, 1.00 below the last blessed model's 30.00 (p = 0.049); "
                "evaluation.max_bleu_drop = 0.5 allows no more."
            ],
        )

    @pytest.mark.parametrize("p_value", [None, NAN])
    def test_a_drop_without_a_p_value_counts(self, p_value: float | None):
        config = translation(max_bleu_drop=0.5, significance=0.05)
        blessed, found = texts(config, bleu(29, p_value), bleu(30))
        assert not blessed
        assert "30.00 (without a p-value); evaluation" in found[0]

    def test_a_small_drop_is_kept_however_significant(self):
        config = translation(max_bleu_drop=0.5, significance=0.05)
        found = [
            "+ bleu is 29.50, 0.50 below the last blessed model's 30.00; that keeps "
            "evaluation.max_bleu_drop = 0.5."
        ]
        assert texts(config, bleu(29.5, 0.001), bleu(30)) == (True, found)

    def test_gain(self):
        config = translation(min_bleu_gain=1)
        assert texts(config, bleu(31, 0.9), bleu(30)) == (
            True,
            [
                "+ bleu is 31.00, 1.00 above the last blessed model's 30.00; that keeps "
                "evaluation.min_bleu_gain = 1."
            ],
        )
        assert texts(config, bleu(30), bleu(30)) == (
            False,
            [
                "- bleu is 30.00, no different from the last blessed model's 30.00; "
                "evaluation.min_bleu_gain = 1 demands more."
            ],
        )

    def test_a_gain_must_be_significant_if_that_is_demanded(self):
        config = translation(min_bleu_gain=0, significance=0.05)
        assert texts(config, bleu(31, 0.01), bleu(30)) == (
            True,
            [
                "+ bleu is 31.00, 1.00 above the last blessed model's 30.00 (p = 0.010); that "
                "keeps evaluation.min_bleu_gain = 0."
            ],
        )
        assert texts(config, bleu(30, 1.0), bleu(30)) == (
            False,
            [
                "- bleu is 30.00, no different from the last blessed model's 30.00, but that is "
                "not significant (p = 1.000); evaluation.min_bleu_gain = 0 with "
                "evaluation.significance = 0.05 demands that it is."
            ],
        )
        assert not judge(config, bleu(29, 0.01), bleu(30))[0]
        assert not judge(config, bleu(31), bleu(30))[0]

    def test_each_slice_has_its_own_p_value(self):
        config = translation(slices=["origin"], each_slice={"max_bleu_drop": 0}, significance=0.05)
        candidate = {
            OVERALL: {"bleu": 30, "bleu_p_value": 0.001},
            "origin=a": {"bleu": 29, "bleu_p_value": 0.3},
            "origin=b": {"bleu": 29, "bleu_p_value": 0.03},
        }
        baseline = {name: {"bleu": 30.0} for name in candidate}
        blessed, found = texts(config, candidate, baseline)
        assert not blessed
        assert [text[:36] for text in found] == ["- bleu in the slice origin=b is 29.00"[:36]]


def test_what_goes_with_a_metric_is_told_apart():
    metrics = {
        "examples": 9.0,
        "bleu": 30.0,
        "bleu_low": 29.0,
        "bleu_high": 31.0,
        "bleu_p_value": 0.25,
        "bleu_change": 1.0,
        "bleu_change_low": -1.0,
        "bleu_change_high": 3.0,
        "chrf": 50.0,
    }
    assert values(metrics) == {"examples": 9.0, "bleu": 30.0, "chrf": 50.0}
    assert intervals(metrics) == {"bleu": (29.0, 31.0)}
    assert p_values(metrics) == {"bleu": 0.25}
