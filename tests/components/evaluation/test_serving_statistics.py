"""Tests of which statistics a run's are compared with: by hand in a store of ML Metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.types import channel, standard_artifacts

from babelrank.components.evaluation.serving_statistics import (
    ServingStatistics,
    serving_statistics,
)
from tests.components.metadata_store import Store


class Lineage(Store):
    """Runs of a small pipeline."""

    def examples(self) -> Any:
        """Examples and their statistics."""
        examples = self.artifact(standard_artifacts.Examples, "examples")
        self.statistics(examples)
        return examples

    def statistics(self, examples: Any) -> Any:
        made = self.artifact(standard_artifacts.ExampleStatistics, "statistics")
        Path(made.uri).mkdir()
        self.execution("StatisticsGen", [("examples", examples)], [("statistics", made)])
        return made

    def model(self, examples: Any) -> Any:
        ids = self.artifact(standard_artifacts.Examples)
        self.execution("Transform", [("examples", examples)], [("transformed_examples", ids)])
        model = self.artifact(standard_artifacts.Model)
        self.execution("Trainer", [("examples", ids)], [("model", model)])
        return model

    def bless(self, model: Any, blessed: int = 1) -> Any:
        kind = standard_artifacts.ModelBlessing
        return self.artifact(kind, "model_blessing", current_model_id=model.id, blessed=blessed)

    def push(self, model: Any, pushed: int = 1) -> Any:
        made = self.artifact(standard_artifacts.PushedModel, "pushed_model", pushed=pushed)
        self.execution("Pusher", [("model", model)], [("pushed_model", made)])
        return made

    def found(self, examples: Any) -> int | None:
        """Id of the statistics that the strategy finds."""
        names = ("pushed_model", "model_blessing", "statistics")
        given = {name: list(self.all.get(name, ())) for name in names}
        given["examples"] = [examples]
        resolved = ServingStatistics().resolve_artifacts(self.store, given)
        assert set(resolved) == set(given)
        assert len(resolved["statistics"]) <= 1
        return resolved["statistics"][0].id if resolved["statistics"] else None

    def of(self, examples: Any) -> int:
        """Id of the newest statistics of some examples."""
        at = self.all["examples"].index(examples)
        found: int = self.all["statistics"][at].id
        return found


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(tmp_path)


def test_the_first_run(lineage: Lineage):
    first = lineage.examples()
    assert lineage.found(first) is None
    lineage.model(first)
    lineage.bless(lineage.model(first), 0)
    assert lineage.found(lineage.examples()) is None


def test_the_last_pushed_and_not_the_last_blessed(lineage: Lineage):
    pushed, blessed = lineage.examples(), lineage.examples()
    model = lineage.model(pushed)
    lineage.bless(model)
    lineage.push(model)
    later = lineage.model(blessed)
    lineage.bless(later)
    lineage.push(later, 0)
    assert lineage.found(lineage.examples()) == lineage.of(pushed)


def test_the_last_blessed_when_none_was_pushed(lineage: Lineage):
    first, second, third = (lineage.examples() for _ in range(3))
    lineage.bless(lineage.model(first))
    lineage.bless(lineage.model(second))
    lineage.bless(lineage.model(third), 0)
    assert lineage.found(lineage.examples()) == lineage.of(second)


def test_a_repeated_run_finds_what_the_first_one_found(lineage: Lineage):
    old, new = lineage.examples(), lineage.examples()
    lineage.push(lineage.model(old))
    assert lineage.found(old) is None
    lineage.push(lineage.model(new))
    assert lineage.found(new) == lineage.of(old)
    assert lineage.found(lineage.examples()) == lineage.of(new)


def test_the_one_before_a_push_that_was_taken_back(lineage: Lineage):
    good, bad = lineage.examples(), lineage.examples()
    lineage.push(lineage.model(good))
    push = lineage.push(lineage.model(bad))
    push.set_int_custom_property("pushed", 0)
    assert lineage.found(lineage.examples()) == lineage.of(good)


def test_nothing_older_in_place_of_statistics_that_are_gone(lineage: Lineage):
    old, new = lineage.examples(), lineage.examples()
    lineage.push(lineage.model(old))
    lineage.push(lineage.model(new))
    again = lineage.statistics(new)  # such as after a change of TFX
    assert lineage.found(lineage.examples()) == again.id
    for one in lineage.all["statistics"]:
        if one.id in (again.id, lineage.of(new)):
            Path(one.uri).rmdir()
    assert lineage.found(lineage.examples()) is None


def test_the_node():
    node = serving_statistics(channel.Channel(type=standard_artifacts.Examples))
    assert node.id == "ServingStatistics"
    assert node.outputs["statistics"].type is standard_artifacts.ExampleStatistics
