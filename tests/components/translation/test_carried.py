"""Tests of finding the vocabulary to carry over: by hand in a store, and in TFX's local runner."""

import json

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.config import from_dict
from babelrank.components.translation.carried import LastBlessedSubwords, last_blessed_subwords
from babelrank.components.translation.config import DataConfig, VocabularyConfig
from babelrank.components.translation.vocabulary import SubwordVocabulary, read_summary, settings
from tests.components.metadata_store import Store

DATA = from_dict(DataConfig, {"path": "x", "source": "en", "target": "de"}, "data")
SETTINGS = settings(("en", "de"), VocabularyConfig())


class Lineage(Store):
    """Runs of a small pipeline."""

    def __init__(self, folder):
        super().__init__(folder)
        self.all = {"model": [], "model_blessing": [], "subwords": [], "examples": []}

    def subwords(self, examples, reuse=None):
        made = self.artifact(SubwordModel, "subwords")
        (self.folder / made.uri).mkdir()
        (self.folder / made.uri / "summary.json").write_text(json.dumps({"settings": SETTINGS}))
        inputs = [("examples", examples)] + ([("reuse", reuse)] if reuse else [])
        self.execution("SubwordVocabulary", inputs, [("subwords", made)])
        return made

    def examples(self):
        return self.artifact(standard_artifacts.Examples, "examples")

    def model(self, subwords, examples, base=None, blessed=True):
        """Transform, Trainer and Evaluator."""
        graph = self.artifact(standard_artifacts.TransformGraph)
        inputs = [("examples", examples), ("subwords", subwords)]
        self.execution("SubwordTransform", inputs, [("transform_graph", graph)])
        model = self.artifact(standard_artifacts.Model, "model")
        inputs = [("transform_graph", graph)] + ([("base_model", base)] if base else [])
        self.execution("Trainer", inputs, [("model", model)])
        self.artifact(
            standard_artifacts.ModelBlessing,
            "model_blessing",
            current_model_id=model.id,
            blessed=int(blessed),
        )
        return model

    def found(self, examples, wanted=SETTINGS):
        """Ids of what the strategy resolves `subwords` to."""
        given = {**self.all, "examples": [examples]}
        strategy = LastBlessedSubwords(json.dumps(wanted))
        resolved = strategy.resolve_artifacts(self.store, given)
        assert set(resolved) == set(given)
        return [one.id for one in resolved["subwords"]]


@pytest.fixture
def lineage(tmp_path):
    return Lineage(tmp_path)


def test_the_first_run(lineage):
    assert lineage.found(lineage.examples()) == []


def test_the_last_blessed_and_not_the_latest(lineage):
    old, newer = lineage.examples(), lineage.examples()
    good, refused, unused = (lineage.subwords(e) for e in (old, newer, newer))
    lineage.model(good, old)
    lineage.model(refused, newer, blessed=False)
    assert lineage.found(lineage.examples()) == [good.id]
    lineage.model(unused, newer)
    assert lineage.found(lineage.examples()) == [unused.id]


def test_nothing_blessed(lineage):
    old = lineage.examples()
    lineage.model(lineage.subwords(old), old, blessed=False)
    assert lineage.found(lineage.examples()) == []


def test_the_model_that_a_model_was_warm_started_from_does_not_matter(lineage):
    old = lineage.examples()
    first, second = lineage.subwords(old), lineage.subwords(old)
    base = lineage.model(first, old)
    lineage.model(second, old, base=base)
    assert lineage.found(lineage.examples()) == [second.id]


def test_a_copy_is_traced_back_to_the_one_that_was_learned(lineage):
    old, new = lineage.examples(), lineage.examples()
    learned = lineage.subwords(old)
    lineage.model(learned, old)
    copy = lineage.subwords(new, reuse=learned)
    lineage.model(lineage.subwords(new, reuse=copy), new)
    assert lineage.found(lineage.examples()) == [learned.id]
    assert lineage.found(new) == [learned.id]
    (lineage.folder / learned.uri / "summary.json").unlink()
    assert lineage.found(lineage.examples()) == [copy.id]
    assert lineage.found(new) == [copy.id]  # it cannot be learned again from these


def test_the_same_examples_find_their_own_run_in_the_cache(lineage):
    old = lineage.examples()
    learned = lineage.subwords(old)
    lineage.model(learned, old)
    assert lineage.found(old) == []
    assert lineage.found(old, SETTINGS | {"size": 4000}) == [learned.id]  # the executor refuses it


def test_a_cached_training_finds_the_same(lineage):
    old = lineage.examples()
    learned = lineage.subwords(old)
    model = lineage.model(learned, old)
    lineage.execution("Trainer", [], [("model", model)])
    assert lineage.found(lineage.examples()) == [learned.id]


def test_a_model_without_subwords(lineage):
    model = lineage.artifact(standard_artifacts.Model, "model")
    lineage.artifact(
        standard_artifacts.ModelBlessing, "model_blessing", current_model_id=model.id, blessed=1
    )
    assert lineage.found(lineage.examples()) == []


@tfx.dsl.components.component
def Sentences(
    examples: tfx.dsl.components.OutputArtifact[standard_artifacts.Examples],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Writes one sentence pair."""
    examples.split_names = '["train"]'
    tf.io.gfile.makedirs(f"{examples.uri}/Split-train")
    made = tf.train.Example()
    for side in ("source", "target"):
        made.features.feature[side].bytes_list.value.append(text.encode())
    options = tf.io.TFRecordOptions("GZIP")
    with tf.io.TFRecordWriter(f"{examples.uri}/Split-train/data.gz", options) as writer:
        writer.write(made.SerializeToString())


@tfx.dsl.components.component
def Training(
    subwords: tfx.dsl.components.InputArtifact[SubwordModel],
    model: tfx.dsl.components.OutputArtifact[standard_artifacts.Model],
) -> None:
    """Writes nothing."""
    tf.io.gfile.makedirs(model.uri)


@tfx.dsl.components.component
def Gate(
    model: tfx.dsl.components.InputArtifact[standard_artifacts.Model],
    blessing: tfx.dsl.components.OutputArtifact[standard_artifacts.ModelBlessing],
) -> None:
    """Blesses everything."""
    tf.io.gfile.makedirs(blessing.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property("blessed", 1)


def test_in_the_local_runner(tmp_path, monkeypatch):
    name = "tfx.utils.dependency_utils.make_beam_dependency_flags"
    monkeypatch.setattr(name, lambda arguments: list(arguments))
    config = VocabularyConfig(size=30, reuse="latest")

    def run(text):
        """Runs the pipeline; returns the newest vocabulary's id and the summaries of all."""
        sentences = Sentences(text=text)
        examples = sentences.outputs["examples"]
        last = last_blessed_subwords(examples, DATA, config)
        vocabulary = SubwordVocabulary(examples, DATA, config, last.outputs["subwords"])
        training = Training(subwords=vocabulary.outputs["subwords"])
        gate = Gate(model=training.outputs["model"])
        connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
        local_dag_runner.LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="carried",
                pipeline_root=str(tmp_path / "root"),
                components=[sentences, last, vocabulary, training, gate],
                enable_cache=True,
                metadata_connection_config=connection,
                beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
            )
        )
        with metadata.Metadata(connection) as handle:
            found = handle.store.get_artifacts_by_type(SubwordModel.TYPE_NAME)
        return [read_summary(one.uri) for one in sorted(found, key=lambda one: one.id)], found

    (first,), (artifact,) = run("abc abd")
    assert first["carried_over_from"] is None
    assert first["notes"][0].startswith("A new vocabulary was learned")
    assert len(run("abc abd")[0]) == 1  # all from the cache
    summaries, _ = run("xyz")
    assert summaries[1]["carried_over_from"] == artifact.uri
    assert summaries[1]["source"]["unknown_share"] > 0
    assert len(run("xyz")[0]) == 2  # from the cache, though a newer model is blessed
    assert [summary["carried_over_from"] for summary in run("uvw")[0]] == (
        [None, artifact.uri, artifact.uri]
    )
