"""Tests of both graphs as TFX compiles them: their steps, what feeds what, what is never cached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict, to_dict
from babelrank.components.evaluation.drift_config import DriftConfig
from babelrank.components.serving.config import ServingConfig
from babelrank.pipelines import local
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.graph import compiled
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.run import graph_function

RANKING = {
    "data": {"path": "none/*.csv", "label": "y", "categorical": ["user"]},
    "evaluation": {"min_auc": 0.6},
}
TRANSLATION = {
    "data": {"path": "none/*.tsv", "source": "en", "target": "ja"},
    "evaluation": {"min_bleu": 20},
    "push": {"directory": "/elsewhere"},
}


def nodes(config: PipelineConfig) -> dict[str, Any]:
    """The compiled nodes by name; compiling needs no data."""
    ir = compiled(graph_function(config)(config, Path("/out")))
    assert ir.pipeline_info.id == config.name
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}


@pytest.fixture(scope="module")
def ranking() -> dict[str, Any]:
    return nodes(from_dict(RankingConfig, RANKING))


@pytest.fixture(scope="module")
def translation() -> dict[str, Any]:
    return nodes(from_dict(TranslationConfig, TRANSLATION))


def parameter(node: Any, name: str) -> str:
    text: str = node.parameters.parameters[name].field_value.string_value
    return text


def test_steps(ranking: dict[str, Any], translation: dict[str, Any]):
    common = {"Ingest", "StatisticsGen", "Schema", "ExampleValidator", "Transform", "Trainer"}
    common |= {"ServingStatistics", "Drift", "Baseline", "Evaluator", "ServingCheck", "Pusher"}
    assert set(ranking) == common
    assert set(translation) == common | {"SubwordVocabulary"}


def test_what_feeds_what(translation: dict[str, Any]):
    before = {name: set(node.upstream_nodes) for name, node in translation.items()}
    assert before["SubwordVocabulary"] >= {"Ingest"}
    assert before["Transform"] == {"Ingest", "Schema", "SubwordVocabulary"}
    assert before["Trainer"] == {"Transform", "Schema"}
    assert before["ServingStatistics"] == {"Ingest"}
    assert before["Drift"] == {"StatisticsGen", "ServingStatistics"}
    assert before["Baseline"] == {"Trainer"}
    data = {"StatisticsGen", "ServingStatistics", "ExampleValidator"}  # what the gate sees of it
    assert before["Evaluator"] == {"Ingest", "Trainer", "Baseline", "Drift", *data}
    assert before["ServingCheck"] == {"Ingest", "Transform", "Trainer", "Evaluator"}
    assert before["Pusher"] == {"Trainer", "Evaluator", "ServingCheck"}
    order = list(translation)
    assert all(order.index(name) > order.index(n) for name in before for n in before[name])


def test_a_vocabulary_that_is_carried_over():
    graph = nodes(from_dict(TranslationConfig, {**TRANSLATION, "vocabulary": {"reuse": "latest"}}))
    assert "CarriedVocabulary" in graph["SubwordVocabulary"].upstream_nodes
    assert set(graph) - set(local.HIDDEN_NODES) == {
        "Ingest",
        "StatisticsGen",
        "Schema",
        "ExampleValidator",
        "Drift",
        "SubwordVocabulary",
        "Transform",
        "Trainer",
        "Evaluator",
        "ServingCheck",
        "Pusher",
    }


@pytest.mark.parametrize("wanted", ["blessed", "pushed"])
@pytest.mark.parametrize(
    ("cls", "settings"), [(RankingConfig, RANKING), (TranslationConfig, TRANSLATION)]
)
def test_a_warm_start_from_the_last_model(cls: Any, settings: dict[str, Any], wanted: str):
    graph = nodes(from_dict(cls, {**settings, "training": {"warm_start": wanted}}))
    trainer = graph["Trainer"]
    assert set(trainer.upstream_nodes) == {"LastModel", "Transform", "Schema"}
    (base,) = trainer.inputs.inputs["base_model"].channels
    assert (base.producer_node_query.id, base.output_key) == ("LastModel", "model")
    assert trainer.inputs.inputs["base_model"].min_count == 0  # the first run has none
    assert set(graph["LastModel"].upstream_nodes) == {"Ingest"}
    inputs = graph["LastModel"].inputs.inputs.values()
    looked_at = {one.artifact_query.type.name for many in inputs for one in many.channels}
    sign = {"blessed": "ModelBlessing", "pushed": "PushedModel"}[wanted]
    assert looked_at == {"Model", "Examples", sign}


@pytest.mark.parametrize("source", [None, "/models/1"])
def test_nothing_is_looked_for_without_need(source: str | None):
    graph = nodes(from_dict(RankingConfig, {**RANKING, "training": {"warm_start": source}}))
    assert "LastModel" not in graph
    assert "base_model" not in graph["Trainer"].inputs.inputs


def test_what_is_never_cached(ranking: dict[str, Any], translation: dict[str, Any]):
    for graph in (ranking, translation):
        off = {
            name
            for name, node in graph.items()
            if not node.execution_options.caching_options.enable_cache
        }
        assert off - {"Baseline", "ServingStatistics"} == {"ServingCheck", "Pusher"}


def test_what_the_serving_check_is_told(ranking: dict[str, Any]):
    check = ranking["ServingCheck"]
    assert json.loads(parameter(check, "config")) == to_dict(ServingConfig())
    assert parameter(check, "split") == "test"
    sources = {
        name: (channel.producer_node_query.id, channel.output_key)
        for name, one in check.inputs.inputs.items()
        for channel in one.channels
    }
    assert sources == {
        "model": ("Trainer", "model"),
        "model_run": ("Trainer", "model_run"),
        "transform_graph": ("Transform", "transform_graph"),
        "examples": ("Ingest", "examples"),
        "model_blessing": ("Evaluator", "blessing"),
    }
    (channel,) = ranking["Pusher"].inputs.inputs["infra_blessing"].channels
    assert (channel.producer_node_query.id, channel.output_key) == ("ServingCheck", "blessing")


def test_without_a_serving_check():
    graph = nodes(from_dict(RankingConfig, {**RANKING, "serving": {"check": False}}))
    assert "ServingCheck" not in graph
    assert "infra_blessing" not in graph["Pusher"].inputs.inputs


def test_where_models_are_pushed(ranking: dict[str, Any], translation: dict[str, Any]):
    folder = str(Layout(Path("/out")).serving)
    assert folder in parameter(ranking["Pusher"], "push_destination")
    assert "/elsewhere" in parameter(translation["Pusher"], "push_destination")


def test_what_the_trainer_is_told(translation: dict[str, Any]):
    trainer = translation["Trainer"]
    assert parameter(trainer, "run_fn") == "babelrank.components.translation.trainer.run_fn"
    custom = json.loads(parameter(trainer, "custom_config"))
    config = from_dict(TranslationConfig, TRANSLATION)
    for section in ("data", "model", "decoding", "training"):
        assert custom[section] == to_dict(getattr(config, section))
    assert custom["work_directory"] == "/out/training"
    assert "babelrank" in custom


def test_the_gate_judges_test_by_the_target_language(translation: dict[str, Any]):
    evaluator = translation["Evaluator"]
    assert parameter(evaluator, "example_splits") == '["test"]'
    (spec,) = json.loads(parameter(evaluator, "eval_config"))["metrics_specs"]
    (metric,) = spec["metrics"]
    assert metric["class_name"] == "TranslationMetrics"
    assert json.loads(metric["config"]) == {"language": "ja"}


def test_what_the_gate_knows_about_drift(ranking: dict[str, Any]):
    drift, evaluator = ranking["Drift"], ranking["Evaluator"]
    assert drift.inputs.inputs["serving_statistics"].min_count == 0  # the first run has none
    config = from_dict(RankingConfig, {**RANKING, "drift": {"features": {"user": None}}})
    changed = nodes(config)["Drift"]
    assert json.loads(parameter(drift, "config")) == to_dict(DriftConfig())
    assert json.loads(parameter(changed, "config")) == to_dict(config.drift)
    assert parameter(drift, "split") == "test"
    assert json.loads(parameter(drift, "unmeasured")) == ["timestamp", "sample_weight"]
    (channel,) = evaluator.inputs.inputs["drift"].channels
    assert (channel.producer_node_query.id, channel.output_key) == ("Drift", "drift")


@pytest.mark.parametrize(
    ("data", "splits", "more"),
    [
        ({"path": "none/{SPAN}/*.tsv"}, {}, []),
        ({"path": "none/day-{SPAN}.tsv"}, {}, ["origin"]),
        ({}, {"explicit": {"test": "test.tsv"}}, ["origin"]),
    ],
)
def test_sentences_do_not_drift_nor_names_that_always_differ(
    data: dict[str, Any], splits: dict[str, Any], more: list[str]
):
    settings = {**TRANSLATION, "data": {**TRANSLATION["data"], **data}, "splits": splits}
    drift = nodes(from_dict(TranslationConfig, settings))["Drift"]
    assert json.loads(parameter(drift, "unmeasured")) == ["source", "target", *more]


@pytest.mark.parametrize(
    ("data", "weight"),
    [({}, None), ({"weight": "w"}, "sample_weight"), ({"keep_negatives": 0.5}, "sample_weight")],
)
def test_statistics_are_weighted_as_training_is(data: dict[str, Any], weight: str | None):
    graph = nodes(from_dict(RankingConfig, {**RANKING, "data": {**RANKING["data"], **data}}))
    options = graph["StatisticsGen"].parameters.parameters
    found = None
    if "stats_options_json" in options:
        found = json.loads(options["stats_options_json"].field_value.string_value)
    assert (found or {}).get("_weight_feature", (found or {}).get("weight_feature")) == weight
