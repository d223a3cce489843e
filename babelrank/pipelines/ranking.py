"""The ranking pipeline's graph: which component feeds which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.types import BaseChannel as Channel

from babelrank.components.evaluation import baseline
from babelrank.components.evaluation.evaluator import Evaluator, eval_config
from babelrank.components.lineage import MODEL
from babelrank.components.ranking import (
    preprocessing,
    records,
    signatures,
    tfma_metrics,
    trainer,
)
from babelrank.components.ranking.example_gen import ClickLogExampleGen
from babelrank.components.ranking.preprocessing import Columns
from babelrank.components.ranking.schema import schema_text
from babelrank.pipelines import graph
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.layout import Layout


def ranking_pipeline(config: RankingConfig, out: Path) -> tfx.dsl.Pipeline:
    """The graph that takes a click log to a pushed model.

    Args:
        config: The configuration.
        out: Output folder; everything that the run leaves is under it.
    """
    layout = Layout(out)
    columns = Columns(config.data, config.transform)
    ingest = ClickLogExampleGen(config.data, config.splits, config.spans, config.ingest)
    examples = ingest.outputs["examples"]
    statistics, schema, validator = graph.validation(
        examples, schema_text(columns), records.WEIGHT if columns.has_weight else None
    )
    serving, drift = graph.drift(config, examples, statistics, [records.TIMESTAMP, records.WEIGHT])
    transform = _transform(columns, examples, schema.outputs["schema"])
    predecessor = graph.predecessor(config, examples)
    train = graph.trainer(
        trainer.run_fn,
        layout,
        transform,
        schema.outputs["schema"],
        {**columns.to_custom_config(), **graph.plain(config, "model", "training")},
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
            transform,
            *predecessor,
            train,
            compared,
            evaluator,
            *graph.delivery(config, layout, examples, transform, train, evaluator),
        ],
    )


def _transform(columns: Columns, examples: Channel, schema: Channel) -> tfx.components.Transform:
    return tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=graph.dotted(preprocessing.preprocessing_fn),
        custom_config=columns.to_custom_config(),
        splits_config=graph.transformed_splits(),
        disable_statistics=True,
    )


def _evaluator(
    config: RankingConfig,
    examples: Channel,
    train: tfx.components.Trainer,
    compared: tfx.dsl.Resolver,
    drift: Any,
    data: Mapping[str, Channel],
) -> Evaluator:
    metric = tfma.MetricConfig(
        class_name="RankingMetrics",
        module=tfma_metrics.__name__,
        config=json.dumps(
            {
                "objective": config.data.objective,
                "lift_share": config.evaluation.lift_share,
                "query": config.evaluation.query,
                "top_k": config.evaluation.top_k,
            }
        ),
    )
    weight = records.WEIGHT if config.data.weight else None
    return Evaluator(
        examples=examples,
        model=train.outputs["model"],
        baseline_model=compared.outputs["model"],
        drift=drift.outputs["drift"],
        data=data,
        split=config.splits.gate,
        eval_config=eval_config(config.evaluation, metric, records.LABEL, signatures.SCORE, weight),
        gate=config.evaluation,
    )
