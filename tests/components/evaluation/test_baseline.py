"""Tests of which model the gate compares with: by hand in a store of ML Metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts

from babelrank.components.evaluation.baseline import Baseline, baseline
from tests.components.metadata_store import Store


class Models(Store):
    """Models that the gate has judged."""

    def model(self, blessed: int | None = 1) -> Any:
        made = self.artifact(standard_artifacts.Model, "model")
        Path(made.uri).mkdir()
        if blessed is not None:
            self.bless(made, blessed)
        return made

    def bless(self, model: Any, blessed: int = 1) -> None:
        kind = standard_artifacts.ModelBlessing
        self.artifact(kind, "model_blessing", current_model_id=model.id, blessed=blessed)

    def check(self, model: Any, blessed: int) -> None:
        """A serving check of a model."""
        verdict = self.artifact(standard_artifacts.InfraBlessing, blessed=blessed)
        self.execution("ServingCheck", [("model", model)], [("blessing", verdict)])

    def found(self, candidate: Any) -> int | None:
        """Id of the model that a candidate is compared with."""
        given = {name: list(self.all.get(name, ())) for name in ("model", "model_blessing")}
        resolved = Baseline().resolve_artifacts(self.store, given | {"candidate": [candidate]})
        assert resolved["candidate"] == [candidate]
        assert len(resolved["model"]) == len(resolved["model_blessing"])
        return resolved["model"][0].id if resolved["model"] else None


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


def test_the_first_run_and_its_repetition(models: Models):
    first = models.model(None)
    assert models.found(first) is None
    models.bless(first)  # and then the run was killed, before the Pusher
    assert models.found(first) is None


def test_the_last_blessed_one_and_never_the_candidate_itself(models: Models):
    first, second, refused = models.model(), models.model(), models.model(0)
    assert models.found(models.model(None)) == second.id
    assert models.found(second) == first.id
    assert models.found(refused) == second.id
    models.bless(first)  # judged again: the later training counts
    assert models.found(models.model(None)) == second.id


def test_the_candidate_of_an_older_day_is_compared_with_the_newer_model(models: Models):
    first, second = models.model(), models.model()
    assert models.found(first) == second.id


def test_no_model_that_was_rolled_back(models: Models):
    first, second = models.model(), models.model()
    second.set_string_custom_property("rolled_back", "it shouts")
    assert models.found(models.model(None)) == first.id


def test_no_model_that_the_serving_check_refused(models: Models):
    first, second = models.model(), models.model()
    models.check(first, 1)
    models.check(second, 0)
    assert models.found(models.model(None)) == first.id
    models.check(second, 1)  # checked again, on a quieter machine
    assert models.found(models.model(None)) == second.id


def test_no_model_that_is_gone(models: Models):
    first, second = models.model(), models.model()
    Path(second.uri).rmdir()
    assert models.found(models.model(None)) == first.id


def test_the_node():
    node = baseline(channel.Channel(type=standard_artifacts.Model))
    assert node.id == "Baseline"
    assert node.outputs["model"].type is standard_artifacts.Model
