"""The translation pipeline's graph: which component feeds which."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.types import BaseChannel as Channel

from babelrank.components.evaluation import baseline
from babelrank.components.evaluation.evaluator import Evaluator, eval_config
from babelrank.components.lineage import MODEL
from babelrank.components.translation import (
    carried,
    metrics,
    records,
    signatures,
    tfma_metrics,
    trainer,
)
from babelrank.components.translation.example_gen import ParallelTextExampleGen
from babelrank.components.translation.schema import schema_text
from babelrank.components.translation.transform import SubwordTransform
from babelrank.components.translation.vocabulary import SubwordVocabulary
from babelrank.pipelines import graph
from babelrank.pipelines.config import TranslationConfig
from babelrank.pipelines.layout import Layout


def translation_pipeline(config: TranslationConfig, out: Path) -> tfx.dsl.Pipeline:
    """The graph that takes parallel text to a pushed model.

    Args:
        config: The configuration.
        out: Output folder; everything that the run leaves is under it.
    """
    # A language whose tokenizer is not installed fails now, and not after the training.
    metrics.Scorer(config.data.target.language)
    layout = Layout(out)
    ingest = ParallelTextExampleGen(config.data, config.splits, config.spans, config.ingest)
    examples = ingest.outputs["examples"]
    statistics, schema, validator = graph.validation(examples, schema_text())
    serving, drift = graph.drift(config, examples, statistics, _unmeasured(config))
    resolvers, vocabulary = _vocabulary(config, examples)
    transform = SubwordTransform(
        examples=examples,
        schema=schema.outputs["schema"],
        subwords=vocabulary.outputs["subwords"],
        splits_config=graph.transformed_splits(),
    ).with_id("Transform")
    predecessor = graph.predecessor(config, examples)
    train = graph.trainer(
        trainer.run_fn,
        layout,
        transform,
        schema.outputs["schema"],
        graph.plain(config, "data", "model", "decoding", "training"),
        *(one.outputs[MODEL] for one in predecessor),
    )
    compared = baseline.baseline(train.outputs["model"])
    data = graph.judged_data(ingest, statistics, validator, serving)
    evaluator = _evaluator(config, examples, train, compared, drift, data)
    return graph.pipeline(
        config,
        layout,
        [
            ingest.with_id("Ingest"),
            statistics,
            schema,
            validator,
            serving,
            drift,
            *resolvers,
            vocabulary,
            transform,
            *predecessor,
            train,
            compared,
            evaluator,
            *graph.delivery(config, layout, examples, transform, train, evaluator),
        ],
    )


def _unmeasured(config: TranslationConfig) -> list[str]:
    """Features whose drift says nothing: sentences, and file names that differ by span or split."""
    files = [
        posixpath.basename(one.path or "")
        for one in (config.data, config.data.source, config.data.target)
    ]
    explicit = config.splits.explicit.eval or config.splits.explicit.test
    names_differ = explicit is not None or any("{" in file for file in files)
    return [records.SOURCE, records.TARGET, *([records.ORIGIN] if names_differ else [])]


def _vocabulary(
    config: TranslationConfig, examples: Channel
) -> tuple[list[tfx.dsl.Resolver], SubwordVocabulary]:
    """The vocabulary, and what finds the one to carry over, if that is wanted."""
    if config.vocabulary.reuse == "never":
        return [], SubwordVocabulary(examples, config.data, config.vocabulary)
    last = carried.last_blessed_subwords(examples, config.data, config.vocabulary)
    vocabulary = SubwordVocabulary(
        examples, config.data, config.vocabulary, reuse=last.outputs[carried.SUBWORDS]
    )
    return [last], vocabulary


def _evaluator(
    config: TranslationConfig,
    examples: Channel,
    train: tfx.components.Trainer,
    compared: tfx.dsl.Resolver,
    drift: Any,
    data: Mapping[str, Channel],
) -> Evaluator:
    metric = tfma.MetricConfig(
        class_name="TranslationMetrics",
        module=tfma_metrics.__name__,
        config=json.dumps({"language": config.data.target.language}),
    )
    return Evaluator(
        examples=examples,
        model=train.outputs["model"],
        baseline_model=compared.outputs["model"],
        drift=drift.outputs["drift"],
        data=data,
        split=config.splits.gate,
        eval_config=eval_config(
            config.evaluation, metric, records.TARGET, signatures.TRANSLATION, None
        ),
        gate=config.evaluation,
    )
