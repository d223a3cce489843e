"""Which model a training starts from: by hand in a store, and in TFX's local runner."""

from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import channel, standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.errors import ConfigError
from babelrank.components.training.last_model import LastModel, last_model
from tests.components.metadata_store import Store


class Lineage(Store):
    """Runs of a small pipeline."""

    def examples(self) -> Any:
        return self.artifact(standard_artifacts.Examples, "examples")

    def model(self, examples: Any, base: Any = None) -> Any:
        """Transform and Trainer, with subwords that were learned from all examples."""
        ids = self.artifact(standard_artifacts.Examples)
        graph = self.artifact(standard_artifacts.TransformGraph)
        subwords = self.artifact(SubwordModel)
        everything = [("examples", one) for one in self.all["examples"]]
        self.execution("SubwordVocabulary", everything, [("subwords", subwords)])
        outputs = [("transformed_examples", ids), ("transform_graph", graph)]
        self.execution("Transform", [("examples", examples), ("subwords", subwords)], outputs)
        model = self.artifact(standard_artifacts.Model, "model")
        Path(model.uri).mkdir()
        inputs = [("examples", ids), ("transform_graph", graph)]
        inputs += [("base_model", base)] if base else []
        self.execution("Trainer", inputs, [("model", model)])
        return model

    def bless(self, model: Any, blessed: int = 1) -> None:
        kind = standard_artifacts.ModelBlessing
        self.artifact(kind, "blessed", current_model_id=model.id, blessed=blessed)

    def push(self, model: Any, pushed: int = 1) -> None:
        made = self.artifact(standard_artifacts.PushedModel, "pushed", pushed=pushed)
        self.execution("Pusher", [("model", model)], [("pushed_model", made)])

    def found(self, wanted: str, examples: Any) -> Any:
        """The model that the strategy finds, or None."""
        given = {"model": list(self.all.get("model", ())), "examples": [examples]}
        given["sign"] = list(self.all.get(wanted, ()))
        resolved = LastModel().resolve_artifacts(self.store, given)
        assert set(resolved) == set(given)
        assert len(resolved["sign"]) == len(resolved["model"]) <= 1
        return resolved["model"][0].id if resolved["model"] else None


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path)


@pytest.mark.parametrize("wanted", ["blessed", "pushed"])
def test_the_first_run(lineage: Lineage, wanted: str):
    assert lineage.found(wanted, lineage.examples()) is None


def test_the_last_blessed_and_not_the_latest(lineage: Lineage):
    first, second, third = (lineage.model(lineage.examples()) for _ in range(3))
    lineage.bless(second)
    lineage.bless(first)  # later, but an older model
    lineage.bless(third, 0)
    new = lineage.examples()
    assert lineage.found("blessed", new) == second.id
    fileio.rmtree(second.uri)
    assert lineage.found("blessed", new) == first.id


def test_the_last_pushed_and_not_the_last_blessed(lineage: Lineage):
    first, second, third = (lineage.model(lineage.examples()) for _ in range(3))
    for model in (first, second, third):
        lineage.bless(model)
    lineage.push(second)
    lineage.push(first)  # back to the older one
    lineage.push(third, 0)
    assert lineage.found("pushed", lineage.examples()) == first.id


@pytest.mark.parametrize("wanted", ["blessed", "pushed"])
def test_a_repeated_run_finds_what_the_first_one_found(lineage: Lineage, wanted: str):
    def good(model: Any) -> Any:
        lineage.bless(model)
        lineage.push(model)
        return model

    old = lineage.examples()
    first = good(lineage.model(old))
    assert lineage.found(wanted, old) is None
    new = lineage.examples()
    assert lineage.found(wanted, new) == first.id
    second = good(lineage.model(new, base=first))
    assert lineage.found(wanted, new) == first.id
    good(second)  # pushed and judged again
    assert lineage.found(wanted, new) == first.id
    third = good(lineage.model(new, base=first))  # another configuration
    assert lineage.found(wanted, new) == first.id
    assert lineage.found(wanted, lineage.examples()) == third.id
    assert lineage.found(wanted, old) == third.id


def test_another_word_is_refused():
    with pytest.raises(ConfigError, match="wanted: got 'best'; takes blessed or pushed"):
        last_model("best", channel.Channel(type=standard_artifacts.Examples))


@tfx.dsl.components.component
def Ingest(
    text: tfx.dsl.components.Parameter[str],
    examples: tfx.dsl.components.OutputArtifact[standard_artifacts.Examples],
) -> None:
    """Writes nothing."""
    fileio.makedirs(examples.uri)


@tfx.dsl.components.component
def Training(
    examples: tfx.dsl.components.InputArtifact[standard_artifacts.Examples],
    model: tfx.dsl.components.OutputArtifact[standard_artifacts.Model],
    base_model: tfx.dsl.components.InputArtifact[standard_artifacts.Model] = None,
) -> None:
    """Writes from what it started."""
    fileio.makedirs(model.uri)
    with fileio.open(f"{model.uri}/base", "w") as file:
        file.write(str(base_model.id if base_model else None))


@tfx.dsl.components.component
def Gate(
    model: tfx.dsl.components.InputArtifact[standard_artifacts.Model],
    blessing: tfx.dsl.components.OutputArtifact[standard_artifacts.ModelBlessing],
) -> None:
    """Blesses everything."""
    fileio.makedirs(blessing.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property("blessed", 1)


@tfx.dsl.components.component
def Push(
    model: tfx.dsl.components.InputArtifact[standard_artifacts.Model],
    pushed_model: tfx.dsl.components.OutputArtifact[standard_artifacts.PushedModel],
) -> None:
    """Pushes everything."""
    fileio.makedirs(pushed_model.uri)
    pushed_model.set_int_custom_property("pushed", 1)


@pytest.mark.parametrize("wanted", ["blessed", "pushed"])
def test_in_the_local_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str):
    name = "tfx.utils.dependency_utils.make_beam_dependency_flags"
    monkeypatch.setattr(name, lambda arguments: list(arguments))
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))

    def run(text: str) -> list[tuple[int, str]]:
        """Runs the pipeline; returns each model's id, and from which it started."""
        ingest = Ingest(text=text)
        examples = ingest.outputs["examples"]
        last = last_model(wanted, examples)
        training = Training(examples=examples, base_model=last.outputs["model"])
        model = training.outputs["model"]
        local_dag_runner.LocalDagRunner().run(
            pipeline.Pipeline(
                pipeline_name="warm",
                pipeline_root=str(tmp_path / "root"),
                components=[ingest, last, training, Gate(model=model), Push(model=model)],
                enable_cache=True,
                metadata_connection_config=connection,
            )
        )
        with metadata.Metadata(connection) as handle:
            found = handle.store.get_artifacts_by_type(standard_artifacts.Model.TYPE_NAME)
        return [(one.id, Path(one.uri, "base").read_text()) for one in found]

    ((first, base),) = run("a")
    assert base == "None"
    assert run("a") == [(first, "None")]  # from the cache, though there is a model now
    _, (second, base) = run("b")
    assert base == str(first)
    assert run("b") == [(first, "None"), (second, str(first))]
    assert run("c")[-1][1] == str(second)
