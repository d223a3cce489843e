"""The translation metrics as one TFMA metric.

One combiner sees the translations of both models, the candidate's and the last blessed one's, so
that it can compare them sentence by sentence. It keeps a sentence's statistics (152 bytes a model)
and a few sample translations, and scores at the end of a slice by the same code as everywhere.

Importing this file also loads tensorflow-text, whose ops the models need; TFMA imports it before
it loads them.
"""

from __future__ import annotations

import functools
import heapq
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
import tensorflow_text  # noqa: F401  (registers the ops of the tokenizer in the SavedModel)
from tensorflow_model_analysis.metrics import metric_types

from babelrank.components.errors import InputError
from babelrank.components.evaluation.verdict import CHANGE, HIGH, LOW, P_VALUE
from babelrank.components.translation import metrics
from babelrank.components.translation.records import SOURCE

EXAMPLES = "examples"
SAMPLES, SIGNATURES = "samples", "signatures"
"""JSON texts: a list of `{kind, chrf, source, reference, translation, baseline}`, and a dict of
sacreBLEU's signature of each score."""

KINDS = ("worst", "random", "best")
"""Kinds of samples, by chrF of the candidate's translation."""

_JUDGED = ("bleu", "chrf")
_EACH_KIND = 6
_CROWD = 256  # samples that are kept before only the chosen ones are


class TranslationMetrics(tfma.metrics.Metric):  # type: ignore[misc]
    """BLEU, chrF and what goes with them, of each model and of their difference.

    Of each model: `examples`, the scores of `metrics.SCORES`, and of BLEU and chrF the 95 %
    interval (`bleu_low`, `bleu_high`). Of the candidate, if there is a baseline: `bleu_p_value`,
    the mean difference `bleu_change` and its interval, and the same of chrF. Of the candidate
    also `SAMPLES` and `SIGNATURES`.

    Args:
        language: Code of the target language.
        name: Name of the whole; the single metrics have their own.
    """

    def __init__(self, language: str, name: str = "translation") -> None:
        super().__init__(_computations, language=language, name=name)


def metric_names(compared: bool) -> list[str]:
    """Names of the candidate's numbers, with or without a baseline."""
    names = [EXAMPLES, *metrics.SCORES]
    for name in _JUDGED:
        names += [name + LOW, name + HIGH]
        if compared:
            names += [name + suffix for suffix in (P_VALUE, CHANGE, CHANGE + LOW, CHANGE + HIGH)]
    return names


def _computations(
    language: str,
    name: str,
    eval_config: tfma.EvalConfig | None = None,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[metric_types.MetricComputation]:
    del name
    specs = eval_config.model_specs if eval_config is not None else ()
    baselines = {spec.name for spec in specs if spec.is_baseline}
    predictions = {spec.name: spec.prediction_key for spec in specs}
    # The candidate first: only what is first is compared and gives samples.
    models = sorted(model_names or [""], key=lambda model: model in baselines)
    computations = []
    for output in output_names or [""]:

        def key(model: str, metric: str, output: str = output) -> metric_types.MetricKey:
            return metric_types.MetricKey(
                name=metric, model_name=model, output_name=output, example_weighted=example_weighted
            )

        keys = []
        for model in models:
            first = model == models[0]
            names = metric_names(compared=first and len(models) > 1)
            keys.append({n: key(model, n) for n in [*names, *([SAMPLES, SIGNATURES] * first)]})
        computations.append(
            metric_types.MetricComputation(
                keys=[key for of_model in keys for key in of_model.values()],
                preprocessors=[metric_types.FeaturePreprocessor(feature_keys=[SOURCE])],
                combiner=_Combiner(
                    language,
                    models,
                    output,
                    [predictions.get(model, "") for model in models],
                    keys,
                ),
            )
        )
    return computations


class Sample(NamedTuple):
    """A sentence and its translations."""

    chrf: float
    lot: int
    source: str
    reference: str
    translation: str
    baseline: str | None


_Accumulator = tuple[list["array[int]"], list[Sample]]


class _Combiner(beam.CombineFn):  # type: ignore[misc]
    """Examples of one slice to the metrics of all models."""

    def __init__(
        self,
        language: str,
        models: list[str],
        output: str,
        prediction_keys: list[str],
        keys: list[dict[str, metric_types.MetricKey]],
    ) -> None:
        self._language = language
        self._models = models
        self._output = output or None
        self._prediction_keys = prediction_keys
        self._keys = keys

    def create_accumulator(self) -> _Accumulator:
        """Statistics of each model's sentences, one after the other, and samples."""
        return [array("i") for _ in self._models], []

    def add_input(
        self, accumulator: _Accumulator, element: metric_types.StandardMetricInputs
    ) -> _Accumulator:
        """Adds an example."""
        statistics, samples = accumulator
        reference = _text(element.get_labels(self._models[0] or None, self._output))
        translations = [
            _text(element.get_predictions(model or None, self._output), key)
            for model, key in zip(self._models, self._prediction_keys, strict=True)
        ]
        for whole, translation in zip(statistics, translations, strict=True):
            whole.extend(_statistics(self._language, translation, reference))
        source = _text((element.get_features() or {}).get(SOURCE, b""))
        own = _statistics(self._language, translations[0], reference)
        samples.append(
            Sample(
                chrf=float(metrics.chrf(np.array(own))),
                lot=zlib.crc32(f"{source}\n{reference}".encode()),
                source=source,
                reference=reference,
                translation=translations[0],
                baseline=translations[1] if len(translations) > 1 else None,
            )
        )
        if len(samples) > _CROWD:
            samples[:] = {sample for chosen in choose(samples) for sample in chosen}
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        """Joins partial results."""
        statistics, samples = self.create_accumulator()
        for parts, some in accumulators:
            for whole, part in zip(statistics, parts, strict=True):
                whole.extend(part)
            samples += some
        return statistics, samples

    def extract_output(self, accumulator: _Accumulator) -> dict[metric_types.MetricKey, Any]:
        """The metrics."""
        flat, samples = accumulator
        systems = [np.array(part, np.int64).reshape(-1, metrics.WIDTH) for part in flat]
        systems = _in_order(systems)
        values = [_scored(system) for system in systems]
        if len(systems) > 1:
            values[0] |= _compared(systems[0], systems[1])
        values[0][SAMPLES] = json.dumps(_listed(samples), ensure_ascii=False)
        values[0][SIGNATURES] = json.dumps(_scorer(self._language).signatures())
        return {
            key: values[model][name]
            for model, keys in enumerate(self._keys)
            for name, key in keys.items()
        }


@functools.cache
def _scorer(language: str) -> metrics.Scorer:
    return metrics.Scorer(language)


@functools.lru_cache(maxsize=1024)  # an example comes once for each of its slices
def _statistics(language: str, translation: str, reference: str) -> tuple[int, ...]:
    return tuple(_scorer(language).statistics([translation], [[reference]])[0].tolist())


def _in_order(systems: list[metrics.Array]) -> list[metrics.Array]:
    """The sentences of all systems in an order that does not depend on how Beam brought them.

    Sentences with the same statistics may change places: that changes no bootstrap sample.
    """
    order = np.lexsort(np.concatenate(systems, axis=1).T)
    return [system[order] for system in systems]


def _scored(system: metrics.Array) -> dict[str, Any]:
    """The numbers of one system, from [N, WIDTH] statistics."""
    values: dict[str, Any] = {EXAMPLES: float(len(system))}
    values |= {name: float(score) for name, score in metrics.scores(system.sum(0)).items()}
    bounds = metrics.intervals(system)
    for name in _JUDGED:
        values[name + LOW], values[name + HIGH] = bounds[name]
    return values


def _compared(candidate: metrics.Array, baseline: metrics.Array) -> dict[str, float]:
    """The numbers of the difference of two systems, from [N, WIDTH] statistics of each."""
    values = {}
    found = metrics.compare(candidate, baseline)
    for name in _JUDGED:
        values[name + P_VALUE] = found[name].p_value
        values[name + CHANGE] = found[name].difference
        values[name + CHANGE + LOW] = found[name].low
        values[name + CHANGE + HIGH] = found[name].high
    return values


def choose(samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """The samples of each of `KINDS`; of equally good ones the longer come first.

    Three times as many random ones as are shown: some may also be among the best and the worst.
    """
    different = {(s.source, s.reference, s.translation): s for s in samples}.values()
    worst = heapq.nsmallest(_EACH_KIND, different, key=lambda s: (s.chrf, -len(s.source), s.lot))
    best = heapq.nsmallest(_EACH_KIND, different, key=lambda s: (-s.chrf, -len(s.source), s.lot))
    drawn = heapq.nsmallest(3 * _EACH_KIND, different, key=lambda s: s.lot)
    return worst, drawn, best


def _listed(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """The chosen samples as they are written, each once."""
    worst, drawn, best = choose(samples)
    worst = worst[: max(1, len(drawn) // 3)]
    best = [sample for sample in best[: max(1, len(drawn) // 3)] if sample not in worst]
    others = [sample for sample in drawn if sample not in worst and sample not in best]
    return [
        {
            "kind": kind,
            "chrf": round(sample.chrf, 2),
            "source": sample.source,
            "reference": sample.reference,
            "translation": sample.translation,
            "baseline": sample.baseline,
        }
        for kind, chosen in zip(KINDS, (worst, others[:_EACH_KIND], best), strict=True)
        for sample in chosen
    ]


def _text(value: Any, key: str = "") -> str:
    """A text as TFMA holds it: bytes, or an array of one, or either under `key` in a dict."""
    if isinstance(value, Mapping):
        value = value[key]
    if isinstance(value, np.ndarray):
        value = value.item()
    if not isinstance(value, bytes):
        raise InputError(f"TranslationMetrics: got {value!r} ({key or 'label'}); takes bytes.")
    return value.decode(errors="replace")
