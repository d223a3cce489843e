"""Tests of `SubwordTransform` through its executor, on Beam, and of the graph that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import transform_pb2
from tfx.types import channel, standard_artifacts
from tfx.utils import json_utils

from babelrank.components.artifacts import SubwordModel
from babelrank.components.translation import subwords
from babelrank.components.translation.config import VocabularyConfig
from babelrank.components.translation.preprocessing import Tokenizer
from babelrank.components.translation.schema import schema_text
from babelrank.components.translation.transform import Executor, SubwordTransform

TRAIN = [(f"the cat {i}", f"die  Katze {i}") for i in range(24)]
EVAL = [("a hat", "ein Hut"), ("unknown Ж", "O\u0308l")]
NAMES = ("source", "target", "origin", "source_length")

# What another program that only has TensorFlow and tensorflow-text would do.
LOAD = """
import json, sys
import tensorflow as tf
import tensorflow_text

function = tf.saved_model.load(sys.argv[1])
names = ("source", "target", "origin", "source_length")
rows = json.load(sys.stdin)
found = function.transform_fn({n: tf.constant(rows[n])[:, None] for n in names})
print(json.dumps(tf.sparse.to_dense(found["inputs"]).numpy().tolist()))
"""


def stages(inputs, custom_config):
    """A preprocessing function of somebody else."""
    with open(os.path.join(custom_config["subwords"], "source.vocab.txt")) as file:
        size = len(file.read().splitlines())
    return {"size": tf.ones_like(inputs["source"], tf.int64) * (size + custom_config["more"])}


def artifact(kind, uri):
    made = kind()
    made.uri = str(uri)
    return made


def serialized(pair):
    made = tf.train.Example()
    for name, text in zip(NAMES, (*pair, "a.tsv", "01-05"), strict=True):
        made.features.feature[name].bytes_list.value.append(text.encode())
    return made.SerializeToString()


def run(folder, mode="in_memory", **keys):
    for split, pairs in (("train", TRAIN), ("eval", EVAL), ("test", EVAL)):
        (folder / f"examples/Split-{split}").mkdir(parents=True)
        path = folder / f"examples/Split-{split}/data.gz"
        with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
            for pair in pairs:
                writer.write(serialized(pair))
    for name, text in (("schema", schema_text()), ("subwords", "")):
        (folder / name).mkdir()
        (folder / name / "schema.pbtxt").write_text(text)
    texts = {word: 1 for side in TRAIN for text in side for word in text.split()}
    for side, more in (("source", {"hat": 9}), ("target", {"Hut": 9, "Öl": 9})):
        model = subwords.train(texts | more, VocabularyConfig(size=100))
        (folder / f"subwords/{side}.model").write_bytes(model)
        lines = "".join(f"{piece}\n" for piece in subwords.pieces(model))
        (folder / f"subwords/{side}.vocab.txt").write_text(lines)
    examples = artifact(standard_artifacts.Examples, folder / "examples")
    examples.split_names = '["train", "eval", "test"]'
    component = SubwordTransform(
        channel.Channel(type=standard_artifacts.Examples),
        channel.Channel(type=standard_artifacts.Schema),
        channel.Channel(type=SubwordModel),
        **keys,
    )
    properties = component.exec_properties.items()
    arguments = ["--runner=DirectRunner", f"--direct_running_mode={mode}"]
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=[*arguments, f"--direct_num_workers={1 + (mode != 'in_memory')}"],
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    Executor(context).Do(
        {
            "examples": [examples],
            "schema": [artifact(standard_artifacts.Schema, folder / "schema")],
            "subwords": [artifact(SubwordModel, folder / "subwords")],
        },
        {
            "transform_graph": [artifact(standard_artifacts.TransformGraph, folder / "graph")],
            "transformed_examples": [artifact(standard_artifacts.Examples, folder / "ids")],
        },
        {name: value for name, value in properties if value is not None},
    )
    return folder


@pytest.fixture(scope="module", autouse=True)
def without_ephemeral_package():
    """TFX packs itself for remote workers; there are none here."""
    with pytest.MonkeyPatch.context() as patch:
        name = "tfx.utils.dependency_utils.make_beam_dependency_flags"
        patch.setattr(name, lambda arguments: list(arguments))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run(tmp_path_factory.mktemp("transform"))


def rows(folder, split):
    found = []
    for path in sorted((folder / f"ids/Split-{split}").glob("*")):
        for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            found.append({name: list(f.int64_list.value) for name, f in features.items()})
    return found


def ids(folder, side, texts):
    tokenizer = Tokenizer((folder / f"subwords/{side}.model").read_bytes())
    return tokenizer.tokenize(tf.constant(texts)).to_list()


def test_the_examples(folder):
    found = sorted(rows(folder, "train"), key=lambda row: row["inputs"])
    expected = {
        "inputs": ids(folder, "source", [source for source, _ in TRAIN]),
        "targets": ids(folder, "target", [target.replace("  ", " ") for _, target in TRAIN]),
    }
    order = sorted(range(len(TRAIN)), key=lambda i: expected["inputs"][i])
    assert found == [
        {name: values[i] for name, values in expected.items()}
        | {f"{name}_length": [len(values[i])] for name, values in expected.items()}
        for i in order
    ]
    assert all(row["targets"][-1] == 1 for row in found)


def test_other_splits(folder):
    assert len(rows(folder, "eval")) == 2
    assert not (folder / "ids/Split-test").exists()
    assert ids(folder, "target", ["Öl"])[0] in [row["targets"] for row in rows(folder, "eval")]


def test_the_models_stand_beside_the_graph(folder):
    for path in subwords.model_paths(str(folder / "graph")):
        original = folder / "subwords" / os.path.basename(path)
        assert Path(path).read_bytes() == original.read_bytes()


def test_the_graph_again(folder):
    output = tft.TFTransformOutput(str(folder / "graph"))
    spec = output.raw_feature_spec()
    parsed = tf.io.parse_example([serialized(pair) for pair in EVAL], spec)
    found = output.transform_features_layer()(parsed)
    assert tf.RaggedTensor.from_sparse(found["inputs"]).to_list() == (
        ids(folder, "source", [source for source, _ in EVAL])
    )
    written = output.transformed_feature_spec()
    assert isinstance(written["inputs"], tf.io.VarLenFeature)
    assert written["inputs_length"].shape == []


def test_the_graph_in_another_process(folder):
    texts = {name: [pair[i % 2] for pair in EVAL] for i, name in enumerate(NAMES)}
    # TFX's graph holds the function under this name on both stacks.
    code = LOAD
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "graph/transform_fn")],
        input=json.dumps(texts),
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [[i for i in row if i] for row in json.loads(done.stdout.splitlines()[-1])]
    assert found == ids(folder, "source", [source for source, _ in EVAL])


def test_a_function_of_somebody_else(tmp_path, monkeypatch):
    name = "babelrank_test_stages"
    monkeypatch.setitem(sys.modules, name, sys.modules[__name__])
    splits = transform_pb2.SplitsConfig(analyze=["train"], transform=["test"])
    folder = run(
        tmp_path,
        preprocessing_fn=f"{name}.stages",
        custom_config={"more": 1000},
        splits_config=splits,
    )
    size = len((folder / "subwords/source.vocab.txt").read_text().splitlines())
    assert rows(folder, "test") == [{"size": [size + 1000]}] * 2
    assert not (folder / "ids/Split-train").exists()


def test_what_is_analyzed():
    def splits(**keys):
        component = SubwordTransform(
            channel.Channel(type=standard_artifacts.Examples),
            channel.Channel(type=standard_artifacts.Schema),
            channel.Channel(type=SubwordModel),
            **keys,
        )
        found = json.loads(component.exec_properties["splits_config"])
        return found["analyze"], found["transform"]

    assert splits() == (["eval"], ["train", "eval"])
    assert splits(preprocessing_fn="some.function") == (["train"], ["train", "eval"])


def test_the_component_does_not_name_a_folder():
    component = SubwordTransform(
        channel.Channel(type=standard_artifacts.Examples),
        channel.Channel(type=standard_artifacts.Schema),
        channel.Channel(type=SubwordModel),
    )
    assert json_utils.loads(component.exec_properties["custom_config"]) is None
    assert set(component.outputs) == {"transform_graph", "transformed_examples"}


@pytest.mark.slow
def test_workers_of_their_own(tmp_path):
    folder = run(tmp_path, mode="multi_processing")
    assert len(rows(folder, "train")) == len(TRAIN)
