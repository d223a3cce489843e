"""The ranking pipeline's graph: which component feeds which."""

from __future__ import annotations

import json
from pathlib import Path

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.proto import transform_pb2
from tfx.types import BaseChannel as Channel

import babelrank
from babelrank.components.config import to_dict
from babelrank.components.evaluation.evaluator import Evaluator, eval_config
from babelrank.components.ingest.config import EVAL, TRAIN
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
from babelrank.components.schema import Schema
from babelrank.components.serving.push import Pusher
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.graph import Layout, dotted


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
    statistics = tfx.components.StatisticsGen(examples=examples)
    schema = Schema(text=schema_text(columns)).with_id("Schema")
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = _transform(columns, examples, schema.outputs["schema"])
    train = _trainer(config, layout, columns, transform, schema.outputs["schema"])
    baseline = _baseline()
    evaluator = _evaluator(config, examples, train, baseline)
    pusher = _pusher(config, layout, train, evaluator)
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(layout.artifacts),
        metadata_connection_config=(
            tfx.orchestration.metadata.sqlite_metadata_connection_config(str(layout.metadata))
        ),
        enable_cache=True,
        beam_pipeline_args=list(config.beam_pipeline_args),
        components=[
            ingest.with_id("Ingest"),
            statistics,
            schema,
            validator,
            transform,
            train,
            baseline,
            evaluator,
            pusher,
        ],
    )


def _transform(columns: Columns, examples: Channel, schema: Channel) -> tfx.components.Transform:
    """Analyzes train; transforms what training reads (the gate reads raw examples)."""
    return tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn=dotted(preprocessing.preprocessing_fn),
        custom_config=columns.to_custom_config(),
        splits_config=transform_pb2.SplitsConfig(analyze=[TRAIN], transform=[TRAIN, EVAL]),
        disable_statistics=True,
    )


def _trainer(
    config: RankingConfig,
    layout: Layout,
    columns: Columns,
    transform: tfx.components.Transform,
    schema: Channel,
) -> tfx.components.Trainer:
    return tfx.components.Trainer(
        run_fn=dotted(trainer.run_fn),
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        train_args=tfx.proto.TrainArgs(splits=[TRAIN]),
        eval_args=tfx.proto.EvalArgs(splits=[EVAL]),
        custom_config={
            **columns.to_custom_config(),
            "model": to_dict(config.model),
            "training": to_dict(config.training),
            "work_directory": str(layout.training),
            "babelrank": babelrank.__version__,  # a new version does not hit an old cache
        },
    )


def _baseline() -> tfx.dsl.Resolver:
    """The last blessed model, or nothing on the first run."""
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("Baseline")


def _evaluator(
    config: RankingConfig,
    examples: Channel,
    train: tfx.components.Trainer,
    baseline: tfx.dsl.Resolver,
) -> Evaluator:
    metric = tfma.MetricConfig(
        class_name="RankingMetrics",
        module=tfma_metrics.__name__,
        config=json.dumps({"objective": config.data.objective}),
    )
    weight = records.WEIGHT if config.data.weight else None
    return Evaluator(
        examples=examples,
        model=train.outputs["model"],
        baseline_model=baseline.outputs["model"],
        split=config.splits.gate,
        eval_config=eval_config(config.evaluation, metric, records.LABEL, signatures.SCORE, weight),
        gate=config.evaluation,
    )


def _pusher(
    config: RankingConfig, layout: Layout, train: tfx.components.Trainer, evaluator: Evaluator
) -> Pusher:
    directory = config.push.directory or str(layout.serving)
    return Pusher(
        model=train.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=directory)
        ),
    )
