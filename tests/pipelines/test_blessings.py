"""What a withdrawn blessing changes: for the baseline, the warm start and the vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.types import artifact_utils, standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.evaluation.baseline import Baseline
from babelrank.components.serving.manifest import Manifest
from babelrank.components.training.last_model import LastModel
from babelrank.components.translation import vocabulary
from babelrank.components.translation.carried import LastBlessedSubwords
from babelrank.pipelines.blessings import Blessings
from tests.components.metadata_store import Store

KINDS = {
    "model": standard_artifacts.Model,
    "blessing": standard_artifacts.ModelBlessing,
    "push": standard_artifacts.PushedModel,
    "subwords": SubwordModel,
    "examples": standard_artifacts.Examples,
}


class History(Store):
    """Models that were trained, blessed and pushed one after the other."""

    def model(self, digest: str) -> Any:
        """Ingest, SubwordVocabulary, Trainer, Evaluator and Pusher."""
        examples = self.artifact(standard_artifacts.Examples, "examples")
        subwords = self.artifact(SubwordModel, "subwords")
        Path(subwords.uri).mkdir()
        (Path(subwords.uri) / vocabulary.SUMMARY_FILE).write_text('{"settings": {}}')
        self.execution("SubwordVocabulary", [("examples", examples)], [("subwords", subwords)])
        model = self.artifact(standard_artifacts.Model, "model")
        Path(model.uri).mkdir()
        inputs = [("examples", examples), ("subwords", subwords)]
        self.execution("Trainer", inputs, [("model", model)])
        self.bless(model)
        self.push(model, digest)
        return model

    def bless(self, model: Any, blessed: int = 1) -> None:
        kind = standard_artifacts.ModelBlessing
        made = self.artifact(kind, "blessing", current_model_id=model.id, blessed=blessed)
        self.execution("Evaluator", [("model", model)], [("blessing", made)])

    def push(self, model: Any, digest: str) -> None:
        made = self.artifact(standard_artifacts.PushedModel, "push", pushed=1)
        made.set_string_custom_property("digest", digest)
        self.store.put_artifacts([made.mlmd_artifact])
        self.execution("Pusher", [("model", model)], [("pushed_model", made)])

    def now(self, key: str) -> list[Any]:
        """The artifacts of a key as they are in the store."""
        kind = KINDS[key]
        stored = self.store.get_artifacts_by_type(kind.TYPE_NAME)
        mlmd_type = self.store.get_artifact_type(kind.TYPE_NAME)
        return [artifact_utils.deserialize_artifact(mlmd_type, one) for one in stored]

    def found(self) -> dict[str, list[int]]:
        """What resolvers find for a next run."""
        models, blessings = self.now("model"), self.now("blessing")
        new = [self.artifact(standard_artifacts.Examples)]
        pair = {"model": models, "model_blessing": blessings}
        resolved = {"baseline": Baseline().resolve_artifacts(self.store, dict(pair))["model"]}
        for wanted, signs in (("blessed", blessings), ("pushed", self.now("push"))):
            given = {"model": models, "sign": signs, "examples": new}
            resolved[wanted] = LastModel().resolve_artifacts(self.store, given)["model"]
        given = {**pair, "subwords": self.now("subwords"), "examples": new}
        carried = LastBlessedSubwords("{}").resolve_artifacts(self.store, given)
        resolved["subwords"] = carried["subwords"]
        return {name: [one.id for one in artifacts] for name, artifacts in resolved.items()}


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def subwords(history: History, at: int) -> int:
    number: int = history.all["subwords"][at].id
    return number


def test_a_withdrawn_model_is_found_by_nobody(history: History):
    first, second = history.model("a"), history.model("b")
    history.bless(second)  # judged again
    before = history.found()
    assert before == {
        "baseline": [second.id],
        "blessed": [second.id],
        "pushed": [second.id],
        "subwords": [subwords(history, 1)],
    }
    blessings = Blessings(history.store)
    assert blessings.withdraw([Manifest(digest="b")], "it shouts") == [second.uri]
    assert history.found() == {
        "baseline": [first.id],
        "blessed": [first.id],
        "pushed": [first.id],
        "subwords": [subwords(history, 0)],
    }
    marked = [one for key in ("model", "blessing", "push") for one in history.now(key)]
    reasons = [one.get_string_custom_property("rolled_back") for one in marked]
    assert reasons == ["", "it shouts", "", "it shouts", "it shouts", "", "it shouts"]
    assert blessings.withdraw([Manifest(digest="b")], "again") == []  # the reason stays
    assert history.now("model")[1].get_string_custom_property("rolled_back") == "it shouts"

    assert blessings.restore(Manifest(digest="b")) == [second.uri]
    assert history.found() == before
    assert not any("rolled_back" in one.mlmd_artifact.custom_properties for one in marked[:1])
    for one in history.now("model"):
        assert "rolled_back" not in one.mlmd_artifact.custom_properties
    assert blessings.restore(Manifest(digest="b")) == []


def test_what_the_gate_refused_is_not_blessed_by_a_restoration(history: History):
    model = history.model("a")
    history.bless(model, 0)
    blessings = Blessings(history.store)
    blessings.withdraw([Manifest(digest="a")], "r")
    blessings.restore(Manifest(digest="a"))
    values = [one.get_int_custom_property("blessed") for one in history.now("blessing")]
    assert values == [1, 0]


def test_a_push_that_was_never_recorded_is_found_by_its_source(history: History):
    """The process was killed after the version appeared, before ML Metadata heard of it."""
    first, second = history.model("a"), history.model("b")
    third = history.model("c")
    source = f"{third.uri}/Format-Serving"
    assert Blessings(history.store).withdraw([Manifest(digest="x", source=source)], "r") == [
        third.uri
    ]
    assert history.found()["baseline"] == [second.id]
    # Model-1 is no folder of Model-12.
    other = Manifest(digest="x", source=f"{first.uri}2/Format-Serving")
    assert Blessings(history.store).withdraw([other], "r") == []


def test_several_versions_of_one_model(history: History):
    first = history.model("a")
    history.model("b")
    history.push(first, "a")
    withdrawn = Blessings(history.store).withdraw([Manifest(digest="a"), Manifest(digest="b")], "r")
    assert len(withdrawn) == 2
    assert history.found() == {"baseline": [], "blessed": [], "pushed": [], "subwords": []}
