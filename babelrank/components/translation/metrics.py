"""BLEU and chrF by sacreBLEU, and how sure one can be of them.

A sentence's *statistics* are the counts (matches, n-grams, lengths) whose sums over a corpus give
its scores; so a corpus, a slice and a bootstrap sample are all scored from sums, and no sentence
is looked at twice. A *system* is the translations of one model. Scores run from 0 to 100.

Imports no TensorFlow.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from babelrank.components.errors import BabelRankError, InputError
from babelrank.components.translation.config import WITHOUT_SPACES, primary

Array = npt.NDArray[Any]
References = Sequence[Sequence[str | None]]
"""One sequence of N sentences for each set of references, as sacreBLEU has it."""

SCORES = ("bleu", "chrf", "bleu_lower")
"""sacreBLEU's BLEU and chrF, cased, and the lower-cased BLEU that papers on small sets report."""

MODES: dict[str, Literal["max", "min"]] = {
    "bleu": "max",
    "chrf": "max",
    "bleu_lower": "max",
    "loss": "min",
}
"""Whether more ("max") or less ("min") of a metric is better."""

RESAMPLES, SEED = 1000, 12345
"""Of the bootstrap: sacreBLEU's defaults, so that its `--paired-bs` can repeat our figures."""

_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab"}
_ORDER = 4
_CHARACTER_ORDER = 6
_COLUMNS = {"bleu": slice(0, 10), "bleu_lower": slice(10, 20), "chrf": slice(20, 38)}
WIDTH = 38
"""Number of a sentence's statistics."""
_CELLS = 4_000_000  # of the matrix of resamples by sentences that is held at a time


def tokenizer_for(language: str) -> str:
    """Name of sacreBLEU's tokenizer for a target language.

    Args:
        language: A code such as `de`, `pt_BR`, `zh-Hans`.

    Returns:
        `zh`, `ja-mecab`, `char` for other languages without spaces between words, else `13a`.
    """
    code = primary(language)
    return _TOKENIZERS.get(code, "char" if code in WITHOUT_SPACES else "13a")


class Scorer:
    """Scores translations into one language.

    Args:
        language: Code of the target language; chooses BLEU's tokenizer.

    Raises:
        BabelRankError: The language is Japanese and MeCab is not installed.
    """

    def __init__(self, language: str) -> None:
        tokenizer = tokenizer_for(language)
        try:
            self._metrics: dict[str, BLEU | CHRF] = {
                "bleu": BLEU(tokenize=tokenizer),
                "bleu_lower": BLEU(tokenize=tokenizer, lowercase=True),
                "chrf": CHRF(),
            }
        except (ImportError, RuntimeError) as error:
            raise BabelRankError(
                f"BLEU for {language}: the tokenizer {tokenizer} cannot be had: "
                f"{str(error).strip().splitlines()[0]} Install mecab-python3 and ipadic "
                "(pip install 'sacrebleu[ja]')."
            ) from error

    def statistics(self, hypotheses: Sequence[str], references: References) -> Array:
        """[N, WIDTH] counts of N translations.

        Args:
            hypotheses: The N translations.
            references: One or more sets of N references; None where a sentence has fewer.

        Raises:
            InputError: The numbers of sentences differ, or a sentence has no reference.
        """
        _check(hypotheses, references)
        found = np.zeros((len(hypotheses), WIDTH), np.int64)
        if len(hypotheses):
            for name, metric in self._metrics.items():
                rows = metric._extract_corpus_statistics(hypotheses, typing.cast(Any, references))
                found[:, _COLUMNS[name]] = rows
        return found

    def signatures(self, references: int = 1) -> dict[str, str]:
        """sacreBLEU's signature of each score, by which others can repeat it.

        Args:
            references: Number of references a sentence, -1 if it varies.
        """
        found = {}
        for name in SCORES:
            self._metrics[name].num_refs = references
            found[name] = str(self._metrics[name].get_signature())
        return found


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of a system.

    Attributes:
        scores: Name to score.
        intervals: Name to the bounds of its 95 % bootstrap interval.
        signatures: Name to sacreBLEU's signature.
    """

    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    signatures: Mapping[str, str]


def evaluate(language: str, hypotheses: Sequence[str], references: References) -> Evaluation:
    """Scores a system on a whole corpus; see `Scorer` for arguments and errors."""
    scorer = Scorer(language)
    statistics = scorer.statistics(hypotheses, references)
    counts = {sum(line is not None for line in lines) for lines in zip(*references, strict=True)}
    return Evaluation(
        scores={name: float(value) for name, value in scores(statistics.sum(0)).items()},
        intervals=intervals(statistics),
        signatures=scorer.signatures(counts.pop() if len(counts) == 1 else -1),
    )


def sentence_chrf(hypothesis: str, references: Sequence[str]) -> float:
    """chrF of one sentence: unlike BLEU, it means something there."""
    return float(_chrf().sentence_score(hypothesis, references).score)


@functools.cache
def _chrf() -> CHRF:
    return CHRF()


def scores(sums: Array) -> dict[str, Array]:
    """The scores from sums of statistics.

    Args:
        sums: [..., WIDTH].

    Returns:
        Each of `SCORES`, [...].
    """
    sums = np.asarray(sums, np.float64)
    bleu = {name: _bleu(sums[..., _COLUMNS[name]]) for name in ("bleu", "bleu_lower")}
    return {"bleu": bleu["bleu"], "chrf": chrf(sums), "bleu_lower": bleu["bleu_lower"]}


def chrf(sums: Array) -> Array:
    """chrF alone, of sums or of single sentences, [..., WIDTH] -> [...] (Popovic 2015)."""
    counts = np.asarray(sums, np.float64)[..., _COLUMNS["chrf"]]
    counts = counts.reshape(*counts.shape[:-1], _CHARACTER_ORDER, 3)
    hypothesis, reference, matches = (counts[..., i] for i in range(3))
    there = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(there.sum(-1), 1)
    precision = (np.where(there, matches, 0) / np.maximum(hypothesis, 1)).sum(-1) / orders
    recall = (np.where(there, matches, 0) / np.maximum(reference, 1)).sum(-1) / orders
    weighted = CHRF.BETA**2 * precision + recall
    gain = (1 + CHRF.BETA**2) * precision * recall
    return 100 * np.divide(gain, weighted, out=np.zeros_like(gain), where=weighted > 0)


def _bleu(sums: Array) -> Array:
    """BLEU with sacreBLEU's exponential smoothing, [..., 10] -> [...] (Papineni et al. 2002)."""
    length, reference = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + _ORDER], sums[..., 2 + _ORDER :]
    missed = (matches == 0) & (totals > 0)
    smoothing = 2.0 ** np.cumsum(missed, axis=-1)
    shares = np.where(missed, 1 / smoothing, matches) / np.maximum(totals, 1)
    with np.errstate(divide="ignore"):
        precision = np.exp(np.log(shares).mean(-1))
    brevity = np.exp(np.minimum(0.0, 1 - reference / np.maximum(length, 1)))
    return np.where(matches.any(-1), 100 * brevity * precision, 0.0)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How a system differs from another in one score.

    Attributes:
        p_value: How likely so large a difference is by the choice of the sentences alone; 1 for
            systems with the same score.
        difference: Mean difference over the resamples, positive if the first system is better.
        low: Lower bound of the difference's 95 % interval.
        high: Its upper bound.
    """

    p_value: float
    difference: float
    low: float
    high: float


def compare(system: Array, baseline: Array) -> dict[str, Comparison]:
    """The paired bootstrap (Koehn 2004) of two systems on the same sentences.

    The p-value is computed as sacreBLEU's `--paired-bs` does, with its default seed: the share of
    resamples in which the difference strays from its mean by more than the measured difference.

    Args:
        system: [N, WIDTH] statistics.
        baseline: [N, WIDTH] statistics of the other system, in the same order.

    Returns:
        Name of each score to its comparison; of NaN for N = 0.
    """
    if not len(system):
        nothing = Comparison(p_value=np.nan, difference=np.nan, low=np.nan, high=np.nan)
        return dict.fromkeys(SCORES, nothing)
    measured = [scores(statistics.sum(0)) for statistics in (system, baseline)]
    resampled = [scores(sums) for sums in _resampled(system, baseline)]
    found = {}
    for name in SCORES:
        actual = abs(float(measured[0][name] - measured[1][name]))
        differences = resampled[0][name] - resampled[1][name]
        strays = np.abs(differences) - np.abs(differences).mean()
        low, high = _bounds(differences)
        found[name] = Comparison(
            p_value=(np.sum(strays > actual) + 1) / (RESAMPLES + 1) if actual else 1.0,
            difference=float(differences.mean()),
            low=low,
            high=high,
        )
    return found


def intervals(statistics: Array) -> dict[str, tuple[float, float]]:
    """Bounds of the 95 % bootstrap interval of a system's scores.

    Args:
        statistics: [N, WIDTH].
    """
    if not len(statistics):
        return dict.fromkeys(SCORES, (np.nan, np.nan))
    (sums,) = _resampled(statistics)
    return {name: _bounds(values) for name, values in scores(sums).items()}


def _bounds(values: Array) -> tuple[float, float]:
    cut = len(values) // 40
    ordered = np.sort(values)
    return float(ordered[cut]), float(ordered[-1 - cut])


def _resampled(*systems: Array) -> list[Array]:
    """For each system [N, WIDTH] the sums of every resample, [RESAMPLES, WIDTH].

    The sentences of a resample are the same for all systems.
    """
    count = len(systems[0])
    wide = np.concatenate(systems, axis=1).astype(np.float64)
    blocks = [draws @ wide for draws in _draws(count)]
    return np.split(np.concatenate(blocks), len(systems), axis=1)


def _draws(count: int) -> Iterator[Array]:
    """Blocks [R, count] of how often each sentence is drawn into each resample."""
    random = np.random.default_rng(SEED)
    rows = max(1, _CELLS // count)
    for start in range(0, RESAMPLES, rows):
        block = min(rows, RESAMPLES - start)
        drawn = random.choice(count, size=(block, count), replace=True)
        drawn += np.arange(block)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=block * count).reshape(block, count)


def _check(hypotheses: Sequence[str], references: References) -> None:
    if not references:
        raise InputError("BLEU: got no references; takes one or more for each sentence.")
    for number, lines in enumerate(references, 1):
        if len(lines) != len(hypotheses):
            raise InputError(
                f"BLEU: got {len(hypotheses):,} translations and {len(lines):,} references (set "
                f"{number}); takes one reference for each translation."
            )
    for row, lines in enumerate(zip(*references, strict=True), 1):
        if all(line is None for line in lines):
            raise InputError(f"BLEU: sentence {row:,} has no reference; takes one or more.")
