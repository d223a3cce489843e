"""What the report says of a translation run alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from babelrank.components.evaluation.evaluator import CANDIDATE, Verdict, overall_texts
from babelrank.components.evaluation.run_summary import UNCOVERED, SampleTranslation, SliceRow
from babelrank.components.translation.records import SOURCE, SOURCE_LENGTH, TARGET
from babelrank.components.translation.tfma_metrics import SAMPLES, SIGNATURES
from babelrank.components.translation.vocabulary import SUBWORDS, read_summary
from babelrank.pipelines.config import TranslationConfig
from babelrank.pipelines.run_artifacts import RunArtifacts

FIGURES = (
    *("size", "distinct_words", "distinct_characters", "uncovered_characters", "unknown_share"),
    *("subwords_per_word", "subwords_per_sentence", "longest"),
)
"""What is shown of a vocabulary's figures of a side."""

ALIASES = ("sacrebleu_score", "bleu_score", "bleu_lower")
"""Measured in training, but no curves of their own; two are the Model Garden's names of others."""


def fields(
    config: TranslationConfig, artifacts: RunArtifacts, verdict: Verdict | None, evaluation_uri: str
) -> dict[str, Any]:
    """Fields of `RunSummary`."""
    texts = _texts(verdict, evaluation_uri) if verdict else {}
    vocabulary = _vocabulary(artifacts)
    return {
        "languages": (config.data.source.language, config.data.target.language),
        "signatures": json.loads(texts.get(SIGNATURES, "{}")),
        "vocabulary": vocabulary_figures(vocabulary),
        "vocabulary_notes": vocabulary_notes(vocabulary),
    }


def charts(verdict: Verdict, evaluation_uri: str, slices: tuple[SliceRow, ...]) -> dict[str, Any]:
    """Fields of `Charts`: the slices by length, and sample translations."""
    samples = json.loads(_texts(verdict, evaluation_uri).get(SAMPLES, "[]"))
    lengths = f"{SOURCE_LENGTH}="
    return {
        "lengths": tuple(
            SliceRow(
                slice=_bucket(row.slice.removeprefix(lengths)),
                examples=row.examples,
                metrics=row.metrics,
                baseline=row.baseline,
            )
            for row in slices
            if row.slice.startswith(lengths) and "=" not in row.slice.removeprefix(lengths)
        ),
        "samples": tuple(SampleTranslation(**sample) for sample in samples),
    }


def _bucket(name: str) -> str:
    """01-05 as people write it: 1-5."""
    return re.sub(r"\b0+(?=\d)", "", name)


def _texts(verdict: Verdict, evaluation_uri: str) -> dict[str, str]:
    return overall_texts(evaluation_uri, CANDIDATE if verdict.baseline is not None else "")


def _vocabulary(artifacts: RunArtifacts) -> dict[str, Any]:
    """The summary of the vocabulary; empty if the run did not come so far."""
    artifact = artifacts.get("SubwordVocabulary", SUBWORDS)
    return {} if artifact is None else read_summary(artifact.uri)


def vocabulary_figures(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The figures of each side that a reader needs, by name."""
    sides = {side: summary[side] for side in (SOURCE, TARGET) if side in summary}
    return {
        side: {name: values[name] for name in FIGURES if values.get(name) is not None}
        for side, values in sides.items()
    }


def vocabulary_notes(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences about the vocabulary, and the characters that it does not cover."""
    notes = list(summary.get("notes", ()))
    for side in (SOURCE, TARGET):
        uncovered = summary.get(side, {}).get("uncovered", ())
        if uncovered:
            listed = ", ".join(f"{character} ({count:,})" for character, count in uncovered[:10])
            notes.append(f"{UNCOVERED}{side}: {listed}.")
    return tuple(notes)
