"""What every pipeline shares: its common steps, its compiled form.

Both graphs begin with an ingest of their own and end alike: Trainer, Baseline, Evaluator,
ServingCheck, Pusher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow_data_validation as tfdv
from tfx import v1 as tfx
from tfx.dsl.compiler import compiler
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.proto import transform_pb2
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import BaseChannel as Channel

import babelrank
from babelrank.components.config import to_dict
from babelrank.components.evaluation import data_facts, drift_component, serving_statistics
from babelrank.components.evaluation.evaluator import Evaluator
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.schema import Schema
from babelrank.components.serving.check.component import serving_check
from babelrank.components.serving.push import ENABLED, Pusher
from babelrank.components.training import last_model
from babelrank.components.training.tf_job_executor import Executor
from babelrank.pipelines import beam
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.layout import Layout

NEVER_CACHED = ("ServingCheck", "Pusher")
"""Nodes that always run: a push is idempotent, and what it wrote may have been deleted; a serving
check measures, and what refused a model once may have been a busy machine."""

EXPORT = 2
"""Rises when what a training exports changes, so that older models are trained again."""


def pipeline(config: PipelineConfig, layout: Layout, components: Sequence[Any]) -> tfx.dsl.Pipeline:
    """A pipeline of the steps, in their order."""
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(layout.artifacts),
        enable_cache=True,
        beam_pipeline_args=beam.arguments(config.beam),
        components=list(components),
    )


def validation(
    examples: Channel, schema_text: str, weight: str | None = None
) -> tuple[Any, Any, Any]:
    """Statistics of the raw examples, our schema, and what ExampleValidator says of the two.

    Args:
        examples: The raw examples.
        schema_text: The schema in protobuf's text format.
        weight: Name of the feature by which the statistics weigh examples; every example has it.
    """
    options = None if weight is None else tfdv.StatsOptions(weight_feature=weight)
    statistics = tfx.components.StatisticsGen(examples=examples, stats_options=options)
    schema = Schema(text=schema_text).with_id("Schema")
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    return statistics, schema, validator


def drift(
    config: PipelineConfig, examples: Channel, statistics: Any, unmeasured: Sequence[str]
) -> tuple[tfx.dsl.Resolver, Any]:
    """What finds the statistics of the serving model's training, and what compares with them."""
    serving = serving_statistics.serving_statistics(examples)
    measured = drift_component.drift(
        config.drift,
        statistics.outputs["statistics"],
        serving.outputs[serving_statistics.STATISTICS],
        config.splits.gate,
        unmeasured,
    )
    return serving, measured


def judged_data(
    ingest: Any, statistics: Any, validator: Any, serving: tfx.dsl.Resolver
) -> dict[str, Channel]:
    """What the Evaluator reads for the gate on data, by its own names."""
    return {
        data_facts.QUARANTINE: ingest.outputs["quarantine"],
        data_facts.ANOMALIES: validator.outputs["anomalies"],
        data_facts.STATISTICS: statistics.outputs["statistics"],
        data_facts.SERVING_STATISTICS: serving.outputs[serving_statistics.STATISTICS],
    }


def transformed_splits() -> transform_pb2.SplitsConfig:
    """Analyzes train; transforms what training reads (the gate reads raw examples)."""
    return transform_pb2.SplitsConfig(analyze=[TRAIN], transform=[TRAIN, EVAL])


def trainer(
    run_fn: Callable[[Any], None],
    layout: Layout,
    transform: Any,
    schema: Channel,
    sections: Mapping[str, Any],
    base_model: Channel | None = None,
) -> tfx.components.Trainer:
    """TFX's Trainer around a task's `run_fn`; several workers are a TFJob.

    Args:
        run_fn: A function at the top of a module.
        layout: Tells where an interrupted training is found again.
        transform: The Transform step.
        schema: Schema of the raw examples.
        sections: The sections of the configuration that `run_fn` rebuilds, as plain data.
        base_model: The model to start from, if one is looked for; see `predecessor`.
    """
    several = sections["training"]["workers"] > 1
    return tfx.components.Trainer(
        custom_executor_spec=ExecutorClassSpec(Executor) if several else None,
        run_fn=dotted(run_fn),
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        base_model=base_model,
        train_args=tfx.proto.TrainArgs(splits=[TRAIN]),
        eval_args=tfx.proto.EvalArgs(splits=[EVAL]),
        custom_config={
            **sections,
            "work_directory": str(layout.training),
            # What another version trained, or exported in another way, is no cache.
            "babelrank": babelrank.__version__,
            "export": EXPORT,
        },
    )


def plain(config: PipelineConfig, *sections: str) -> dict[str, Any]:
    """Sections of a configuration as plain data, by name."""
    return {name: to_dict(getattr(config, name)) for name in sections}


def predecessor(config: PipelineConfig, examples: Channel) -> list[tfx.dsl.Resolver]:
    """What finds the last blessed or pushed model, if `training.warm_start` asks for it."""
    wanted = config.training.warm_start
    return [last_model.last_model(wanted, examples)] if wanted in last_model.SIGNS else []


def delivery(
    config: PipelineConfig,
    layout: Layout,
    examples: Channel,
    transform: Any,
    train: tfx.components.Trainer,
    evaluator: Evaluator,
) -> list[Any]:
    """What becomes of a model that the gate passed: ServingCheck, if it is wanted, and Pusher.

    The Pusher pushes what both have blessed to `push.directory` or to the output folder.
    """
    blessing = evaluator.outputs["blessing"]
    checks = []
    if config.serving.check:
        checks.append(
            serving_check(
                config.serving,
                config.splits.gate,
                model=train.outputs["model"],
                examples=examples,
                model_run=train.outputs["model_run"],
                transform_graph=transform.outputs["transform_graph"],
                model_blessing=blessing,
            )
        )
    directory = config.push.directory or str(layout.serving)
    pusher = Pusher(
        model=train.outputs["model"],
        model_blessing=blessing,
        infra_blessing=checks[0].outputs["blessing"] if checks else None,
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=directory)
        ),
        custom_config={ENABLED: config.push.enabled},
    )
    return [*checks, pusher]


def compiled(pipeline: tfx.dsl.Pipeline) -> pipeline_pb2.Pipeline:
    """TFX's intermediate representation of a pipeline."""
    ir: pipeline_pb2.Pipeline = compiler.Compiler().compile(pipeline)
    for node in ir.nodes:
        if node.pipeline_node.node_info.id in NEVER_CACHED:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    return ir


def dotted(function: Callable[..., Any]) -> str:
    """The path by which TFX imports a function in another process."""
    return f"{function.__module__}.{function.__qualname__}"
