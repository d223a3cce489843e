"""Tests of `BatchPredict` as a TFX component: in a pipeline of its own, and its executor."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from babelrank.components.artifacts import Predictions, Quarantine
from babelrank.components.errors import BadRowsError, ConfigError, ModelError
from babelrank.components.serving import manifest
from babelrank.components.serving.batch import component as batch
from babelrank.components.serving.batch.component import BatchPredict
from babelrank.components.serving.batch.config import BatchConfig

BEAM = [
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
    "--sdk_container_image=none",  # or TFX packs itself up for workers that there are none of
]


@pytest.fixture
def exported(scorer: Path, tmp_path: Path) -> Path:
    """The folder of a Trainer's model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "Format-Serving").symlink_to(scorer / "5")
    return folder


def artifact(kind: type[types.Artifact], uri: Path, **properties: Any) -> types.Artifact:
    made = kind()
    made.uri = str(uri)
    for name, value in properties.items():
        if isinstance(value, int):
            made.set_int_custom_property(name, value)
        else:
            made.set_string_custom_property(name, value)
    return made


def channel(kind: type[types.Artifact]) -> types.Channel:
    return types.Channel(type=kind)


def predictions(uri: str) -> list[dict[str, Any]]:
    paths = sorted(Path(uri).glob("predictions-*.jsonl.gz"))
    text = "".join(gzip.decompress(path.read_bytes()).decode() for path in paths)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.e2e
def test_in_a_pipeline_of_stock_components(exported: Path, tmp_path: Path):
    (tmp_path / "day-1").mkdir()
    log = tmp_path / "day-1" / "log.csv"
    log.write_text("id,price,user,tags,ts\na,1,,,\nb,cheap,,,\nc,3,,,\n")

    def run() -> list[str]:
        model = tfx.dsl.Importer(source_uri=str(exported), artifact_type=standard_artifacts.Model)
        predict = BatchPredict(
            model.outputs["result"],
            path=str(tmp_path / "day-{SPAN}" / "*.csv"),
            config=BatchConfig(keep=("id",), max_bad_fraction=0.4),
        )
        database = tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(tmp_path / "metadata.db")
        )
        pipeline = tfx.dsl.Pipeline(
            "batch",
            str(tmp_path / "out"),
            database,
            [model.with_id("model"), predict],
            enable_cache=True,
            beam_pipeline_args=BEAM,
        )
        tfx.orchestration.LocalDagRunner().run(pipeline)
        return sorted(str(path) for path in (tmp_path / "out/BatchPredict/predictions").iterdir())

    (first,) = run()
    assert predictions(first) == [
        {"row": 1, "id": "a", "score": 1.0},
        {"row": 3, "id": "c", "score": 3.0},
    ]
    (bad,) = (tmp_path / "out/BatchPredict/quarantine").rglob("quarantine-*.jsonl")
    row = json.loads(bad.read_text())
    assert (row["file"], row["position"], row["raw"]) == (str(log), "line 3", "b,cheap,,,")
    assert not (Path(first) / ".parts").exists()
    assert run() == [first]  # from the cache
    log.write_text("id,price,user,tags,ts\na,7,,,\n")
    (second,) = set(run()) - {first}
    assert predictions(second) == [{"row": 1, "id": "a", "score": 7.0}]


@pytest.fixture
def do(tmp_path: Path) -> Callable[..., types.Artifact]:
    """Runs the executor of a component; returns the predictions."""

    def run(component: BatchPredict, **inputs: list[types.Artifact]) -> types.Artifact:
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=BEAM, tmp_dir=str(tmp_path / "tmp"), unique_id="1"
        )
        made = artifact(Predictions, tmp_path / "predictions")
        bad = artifact(Quarantine, tmp_path / "quarantine")
        outputs = {"predictions": [made], "quarantine": [bad]}
        batch.Executor(context).Do(inputs, outputs, component.spec.exec_properties)
        return made

    return run


@pytest.fixture
def examples(tmp_path: Path) -> types.Artifact:
    """Raw examples in two splits, of one row each, with the prices 1 and 2."""
    made = artifact(standard_artifacts.Examples, tmp_path / "examples")
    made.split_names = artifact_utils.encode_split_names(["train", "eval"])
    for price, split in enumerate(("train", "eval"), 1):
        folder = tmp_path / "examples" / f"Split-{split}"
        folder.mkdir(parents=True)
        value = tf.train.Feature(float_list=tf.train.FloatList(value=[price]))
        example = tf.train.Example(features=tf.train.Features(feature={"price": value}))
        with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000.gz"), "GZIP") as file:
            file.write(example.SerializeToString())
    return made


def test_examples_of_a_pushed_model(
    do: Callable[..., types.Artifact], scorer: Path, examples: types.Artifact, tmp_path: Path
):
    component = BatchPredict(
        pushed_model=channel(standard_artifacts.PushedModel),
        examples=channel(standard_artifacts.Examples),
        splits=("eval",),
    )
    pushed = artifact(
        standard_artifacts.PushedModel, tmp_path, pushed=1, pushed_destination=str(scorer / "5")
    )
    made = do(component, pushed_model=[pushed], examples=[examples])
    assert predictions(made.uri) == [{"row": 1, "score": 2.0}]
    assert made.get_int_custom_property("predicted") == 1
    seal = Path(shutil.copytree(scorer / "5", tmp_path / "altered"), manifest.MANIFEST)
    seal.write_text('{"digest": "of another"}')
    pushed.set_string_custom_property("pushed_destination", str(tmp_path / "altered"))
    with pytest.raises(ModelError, match="was altered after its push"):
        do(component, pushed_model=[pushed], examples=[examples])
    pushed.set_int_custom_property("pushed", 0)
    made = do(component, pushed_model=[pushed], examples=[examples])
    assert made.get_string_custom_property("not_predicted") == "the model was not pushed."


def test_all_splits_of_a_model(
    do: Callable[..., types.Artifact], exported: Path, examples: types.Artifact
):
    component = BatchPredict(
        channel(standard_artifacts.Model), examples=channel(standard_artifacts.Examples)
    )
    model = artifact(standard_artifacts.Model, exported)
    made = do(component, model=[model], examples=[examples])
    assert sorted(row["score"] for row in predictions(made.uri)) == [1.0, 2.0]
    component = BatchPredict(
        channel(standard_artifacts.Model),
        examples=channel(standard_artifacts.Examples),
        splits=("test",),
    )
    with pytest.raises(ConfigError, match="splits: got test; the examples have train, eval"):
        do(component, model=[model], examples=[examples])


@pytest.mark.parametrize("blessed", [0, 1])
def test_a_model_that_is_not_blessed_is_not_asked(
    blessed: int,
    do: Callable[..., types.Artifact],
    exported: Path,
    examples: types.Artifact,
    tmp_path: Path,
):
    component = BatchPredict(
        channel(standard_artifacts.Model),
        model_blessing=channel(standard_artifacts.ModelBlessing),
        examples=channel(standard_artifacts.Examples),
    )
    (tmp_path / "blessing").mkdir()
    (tmp_path / "blessing" / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    blessing = artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing", blessed=blessed)
    model = artifact(standard_artifacts.Model, exported)
    made = do(component, model=[model], model_blessing=[blessing], examples=[examples])
    assert len(predictions(made.uri)) == 2 * blessed
    reason = made.get_string_custom_property("not_predicted")
    assert reason == ("" if blessed else "the model is not blessed.")


def test_without_any_blessing_nothing_is_predicted(
    do: Callable[..., types.Artifact], exported: Path, examples: types.Artifact
):
    component = BatchPredict(
        channel(standard_artifacts.Model),
        model_blessing=channel(standard_artifacts.ModelBlessing),
        examples=channel(standard_artifacts.Examples),
    )
    model = artifact(standard_artifacts.Model, exported)
    made = do(component, model=[model], model_blessing=[], examples=[examples])
    assert predictions(made.uri) == []
    assert made.get_string_custom_property("not_predicted") == "there is no blessing."


def test_workers_share_the_files(
    do: Callable[..., types.Artifact],
    exported: Path,
    examples: types.Artifact,
    monkeypatch: pytest.MonkeyPatch,
):
    lanes: list[int] = []
    work = batch.batch_job.work
    monkeypatch.setattr(
        batch.batch_job,
        "work",
        lambda items, *more: (lanes.extend(item.lanes for item in items), work(items, *more)),
    )
    component = BatchPredict(
        channel(standard_artifacts.Model),
        examples=channel(standard_artifacts.Examples),
        config=BatchConfig(workers=3),
    )
    made = do(component, model=[artifact(standard_artifacts.Model, exported)], examples=[examples])
    assert len(predictions(made.uri)) == 2
    assert lanes == [2] * 4


def test_too_many_bad_rows(
    do: Callable[..., types.Artifact], exported: Path, examples: types.Artifact, tmp_path: Path
):
    with tf.io.TFRecordWriter(
        str(tmp_path / "examples/Split-eval/data_tfrecord-00000.gz"), "GZIP"
    ) as file:
        file.write(b"nonsense")
    component = BatchPredict(
        channel(standard_artifacts.Model), examples=channel(standard_artifacts.Examples)
    )
    model = artifact(standard_artifacts.Model, exported)
    with pytest.raises(BadRowsError, match=r"1 of 2 rows are bad .*config.max_bad_fraction"):
        do(component, model=[model], examples=[examples])
    assert len(predictions(str(tmp_path / "predictions"))) == 1


def test_what_the_component_takes():
    model, examples = (
        channel(standard_artifacts.Model),
        channel(standard_artifacts.Examples),
    )
    with pytest.raises(ConfigError, match="takes either model or pushed_model"):
        BatchPredict(examples=examples)
    with pytest.raises(ConfigError, match="takes either examples or path"):
        BatchPredict(model)
    with pytest.raises(ConfigError, match="takes either examples or path"):
        BatchPredict(model, examples=examples, path="x")
