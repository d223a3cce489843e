"""Tests of BLEU and chrF against hand-made counts and against sacreBLEU itself."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest
from sacrebleu.tokenizers import tokenizer_ja_mecab

from babelrank.components.errors import BabelRankError, InputError
from babelrank.components.translation import metrics
from babelrank.components.translation.metrics import (
    MODES,
    SCORES,
    WIDTH,
    Scorer,
    compare,
    evaluate,
    intervals,
    scores,
    sentence_chrf,
    tokenizer_for,
)

WORDS = ["the", "a", "cat", "sat", "on", "under", "mat", "Tree", ",", ".", "!", "Über", "naïve"]


def corpus(seed: int, rows: int = 60) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(1, 12))) for _ in range(rows)]


def worse(lines: list[str], share: float, seed: int) -> list[str]:
    """The lines with some words left out."""
    generator = random.Random(seed)
    return [" ".join(w for w in line.split() if generator.random() > share) for line in lines]


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("de", "13a"), ("pt_BR", "13a"), ("ko", "13a"), ("zh", "zh"), ("zh-Hans", "zh")]
    + [("ZH_tw", "zh"), ("ja", "ja-mecab"), ("th", "char"), ("my-MM", "char"), ("he", "13a")]
    + [("cmn", "zh"), ("jpn", "ja-mecab"), ("tha", "char"), ("deu", "13a")],
)
def test_tokenizer(language: str, tokenizer: str):
    assert tokenizer_for(language) == tokenizer


class TestByHand:
    @pytest.mark.parametrize(
        ("hypothesis", "reference", "bleu"),
        [
            ("the cat sat on the mat", "the cat sat on the mat", 100),
            # of 1 to 4 words match 5 of 6, 3 of 5, 2 of 4, 1 of 3
            ("the cat sat on a mat", "the cat sat on the mat", 100 * (5 * 3 * 2 / 360) ** 0.25),
            # all match, but 4 words are too few for 6
            ("the cat sat on", "the cat sat on the mat", 100 * np.exp(1 - 6 / 4)),
            # 2 of 4, 1 of 3; nothing of 2 and of 1: smoothed to 1/2 and 1/4
            ("a b x y", "a b c d", 100 * (2 / 4 * 1 / 3 * (1 / 2) / 2 * (1 / 4)) ** 0.25),
            ("x y", "a b", 0),
            ("", "a b", 0),
            ("a b c", "a b c", 0),  # there are no four words
        ],
    )
    def test_bleu(self, hypothesis: str, reference: str, bleu: float):
        found = evaluate("en", [hypothesis], [[reference]])
        assert found.scores["bleu"] == pytest.approx(bleu)

    @pytest.mark.parametrize(
        ("hypothesis", "reference", "chrf"),
        [
            ("Guten Tag", "Guten Tag", 100),
            # letters: 2 of 2 and of 3; pairs: 1 of 1 and of 2; so P = 1, R = 7/12, F2 = 7/11
            ("ab", "abc", 100 * 7 / 11),
            ("x", "abc", 0),
            ("", "abc", 0),
        ],
    )
    def test_chrf(self, hypothesis: str, reference: str, chrf: float):
        assert sentence_chrf(hypothesis, [reference]) == pytest.approx(chrf)
        assert evaluate("en", [hypothesis], [[reference]]).scores["chrf"] == pytest.approx(chrf)

    def test_case(self):
        found = evaluate("en", ["The cat sat on a mat"], [["the Cat sat on a mat"]]).scores
        assert found["bleu_lower"] == pytest.approx(100)
        # 4 of 6, 3 of 5, 2 of 4, 1 of 3
        assert found["bleu"] == pytest.approx(100 * (4 * 3 * 2 / 360) ** 0.25)
        assert found["chrf"] < 100


class TestAgainstSacrebleu:
    @pytest.mark.parametrize(
        ("language", "reference_sets"), [("de", 1), ("de", 3), ("th", 1), ("zh", 2), ("ja", 1)]
    )
    def test_corpus(self, language: str, reference_sets: int):
        references = [corpus(seed) for seed in range(reference_sets)]
        hypotheses = worse(references[-1], 0.3, 9)
        found = evaluate(language, hypotheses, references)
        for name, lowercase in (("bleu", False), ("bleu_lower", True)):
            bleu = BLEU(tokenize=tokenizer_for(language), lowercase=lowercase)
            assert found.scores[name] == pytest.approx(
                bleu.corpus_score(hypotheses, references).score
            )
            assert found.signatures[name] == str(bleu.get_signature())
        chrf = CHRF()
        assert found.scores["chrf"] == pytest.approx(
            chrf.corpus_score(hypotheses, references).score
        )
        assert found.signatures["chrf"] == str(chrf.get_signature())

    def test_fewer_references_of_some_sentences(self):
        references: list[list[str | None]] = [list(corpus(1)), list(corpus(2))]
        references[1][3:40] = [None] * 37
        hypotheses = worse(corpus(1), 0.2, 9)
        bleu = BLEU()
        found = evaluate("de", hypotheses, references)
        expected = bleu.corpus_score(hypotheses, references)  # type: ignore[arg-type]
        assert found.scores["bleu"] == pytest.approx(expected.score)
        assert found.signatures["bleu"] == str(bleu.get_signature())
        assert "nrefs:var" in found.signatures["bleu"]

    def test_a_corpus_is_the_sum_of_its_sentences(self):
        references = corpus(1)
        hypotheses = worse(references, 0.3, 2)
        scorer = Scorer("de")
        whole = scorer.statistics(hypotheses, [references])
        assert whole.shape == (60, WIDTH)
        single = [
            scorer.statistics([hypothesis], [[reference]])
            for hypothesis, reference in zip(hypotheses, references, strict=True)
        ]
        np.testing.assert_array_equal(whole, np.concatenate(single))
        for row, (hypothesis, reference) in enumerate(zip(hypotheses, references, strict=True)):
            assert metrics.chrf(whole[row]) == pytest.approx(sentence_chrf(hypothesis, [reference]))

    @pytest.mark.parametrize("share", [0.3, 0.25, 0.2, 0.19])
    def test_the_paired_bootstrap_is_sacrebleus(self, share: float):
        references = corpus(1, 200)
        system, baseline = worse(references, share, 2), worse(references, 0.2, 3)
        named = [("baseline", baseline), ("system", system)]
        _, expected = PairedTest(
            named, {"bleu": BLEU(), "chrf": CHRF()}, [references], test_type="bs"
        )()
        scorer = Scorer("de")
        ours = scorer.statistics(system, [references])
        found = compare(ours, scorer.statistics(baseline, [references]))
        bounds = intervals(ours)
        for name, theirs in (("bleu", "BLEU"), ("chrf", "chrF2")):
            result: Any = expected[theirs][1]
            # theirs are sums in float32: a resample or two may fall on the other side
            assert found[name].p_value == pytest.approx(result.p_value, abs=0.003)
            low, high = bounds[name]
            assert (high - low) / 2 == pytest.approx(result.ci, rel=1e-4)
            assert low < result.mean < high


class TestBootstrap:
    def test_a_clear_difference_is_significant_and_has_its_sign(self):
        references = corpus(1, 200)
        scorer = Scorer("de")
        good = scorer.statistics(worse(references, 0.1, 2), [references])
        poor = scorer.statistics(worse(references, 0.4, 3), [references])
        for name, found in compare(good, poor).items():
            assert found.p_value < 0.01
            assert 0 < found.low < found.difference < found.high
            mirrored = compare(poor, good)[name]
            assert mirrored.difference == pytest.approx(-found.difference)
            assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))

    def test_chance_is_not_significant(self):
        references = corpus(1, 200)
        scorer = Scorer("de")
        one = scorer.statistics(worse(references, 0.2, 2), [references])
        other = scorer.statistics(worse(references, 0.2, 5), [references])
        for found in compare(one, other).values():
            assert found.p_value > 0.05
            assert found.low < 0 < found.high

    def test_a_system_does_not_differ_from_itself(self):
        references = corpus(1)
        same = Scorer("de").statistics(worse(references, 0.2, 2), [references])
        for found in compare(same, same).values():
            assert (found.p_value, found.difference, found.low, found.high) == (1, 0, 0, 0)

    def test_blocks_do_not_change_it(self, monkeypatch: pytest.MonkeyPatch):
        references = corpus(1)
        scorer = Scorer("de")
        one = scorer.statistics(worse(references, 0.2, 2), [references])
        other = scorer.statistics(worse(references, 0.25, 5), [references])
        whole = compare(one, other), intervals(one)
        monkeypatch.setattr(metrics, "_CELLS", 60 * 7)
        assert (compare(one, other), intervals(one)) == whole
        monkeypatch.setattr(metrics, "_CELLS", 1)
        assert (compare(one, other), intervals(one)) == whole

    def test_the_interval_is_narrower_with_more_sentences(self):
        widths = []
        for rows in (50, 1000):
            references = corpus(1, rows)
            found = Scorer("de").statistics(worse(references, 0.2, 2), [references])
            low, high = intervals(found)["bleu"]
            assert low < scores(found.sum(0))["bleu"] < high
            widths.append(high - low)
        assert widths[1] < widths[0] / 3

    def test_nothing_to_draw_from(self):
        nothing = Scorer("de").statistics([], [[]])
        assert nothing.shape == (0, WIDTH)
        assert np.isnan(intervals(nothing)["chrf"]).all()
        assert np.isnan(compare(nothing, nothing)["bleu"].p_value)


def test_scores_of_many_sums_at_once():
    references = corpus(1)
    found = Scorer("de").statistics(worse(references, 0.2, 2), [references])
    sums = np.stack([found[:30].sum(0), np.zeros(WIDTH), found[30:].sum(0)])
    many = scores(sums)
    assert tuple(many) == SCORES
    for name in SCORES:
        assert many[name].tolist() == [float(scores(row)[name]) for row in sums]
        assert many[name][1] == 0


def test_every_score_has_a_mode():
    assert set(SCORES) <= set(MODES)


class TestErrors:
    def test_lengths(self):
        message = r"got 2 translations and 1 references \(set 2\); takes one"
        with pytest.raises(InputError, match=message):
            evaluate("de", ["a", "b"], [["a", "b"], ["a"]])

    def test_no_references(self):
        with pytest.raises(InputError, match=r"got no references; takes one or more"):
            evaluate("de", ["a"], [])
        with pytest.raises(InputError, match=r"sentence 2 has no reference"):
            evaluate("de", ["a", "b"], [["a", None]])

    def test_japanese_without_mecab(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
        with pytest.raises(BabelRankError, match=r"^BLEU for ja: .* ja-mecab .*sacrebleu\[ja\]"):
            Scorer("ja")
        assert Scorer("de") is not None
