"""Tests of the ServingCheck component: what it asks of the check, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.components.util import model_utils
from tfx.types import standard_artifacts

from babelrank.components.config import to_dict
from babelrank.components.serving.check import component as check_component
from babelrank.components.serving.check.job import Job
from babelrank.components.serving.check.report import CheckFinding, CheckReport
from babelrank.components.serving.config import ServingConfig
from babelrank.components.serving.reference import Reference, ReferenceRow


class Component:
    """The component's executor with a check that says what it is told to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[Job] = []
        self.ok = True
        self._inputs = {
            "model": [self._artifact(standard_artifacts.Model, folder / "model")],
            "examples": [self._artifact(standard_artifacts.Examples, folder / "examples")],
        }
        self._inputs["examples"][0].split_names = '["eval", "test"]'
        self.blessing = self._artifact(standard_artifacts.InfraBlessing, folder / "blessing")
        for split in ("eval", "test"):
            (folder / "examples" / f"Split-{split}").mkdir(parents=True)
            path = folder / "examples" / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for number in range(3):
                    writer.write(f"{split} {number}".encode())
        monkeypatch.setattr(check_component, "check", self._check)

    def add(self, name: str, artifact: Any) -> None:
        """One more input."""
        self._inputs[name] = [artifact]

    def run(self, **settings: Any) -> CheckReport:
        """Runs the executor; returns the report that lies in the blessing."""
        executor = check_component.ServingCheck.EXECUTOR_SPEC.executor_class
        config = json.dumps(to_dict(ServingConfig(**settings)))
        executor().Do(
            self._inputs, {"blessing": [self.blessing]}, {"config": config, "split": "test"}
        )
        return CheckReport.load(Path(self.blessing.uri))

    @property
    def passed(self) -> bool:
        """What TFX's Pusher makes of the blessing."""
        return bool(model_utils.is_infra_validated(self.blessing))

    @staticmethod
    def _artifact(kind: Any, path: Path) -> Any:
        made = kind()
        made.uri = str(path)
        return made

    def _check(self, job: Job) -> CheckReport:
        self.jobs.append(job)
        finding = CheckFinding(ok=self.ok, text="because")
        return CheckReport(ok=self.ok, findings=(finding,), command="babelrank check /m")


@pytest.fixture
def component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Component:
    return Component(tmp_path, monkeypatch)


def records(path: Path | None) -> list[bytes]:
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def test_the_gates_split_is_asked(component: Component, tmp_path: Path):
    assert component.run(requests=2).ok
    assert component.passed
    (job,) = component.jobs
    assert job.model == tmp_path / "model" / "Format-Serving"
    assert records(job.requests) == [b"test 0", b"test 1"]
    assert job.reference is None
    assert job.warmup == tmp_path / "blessing" / "tf_serving_warmup_requests"
    assert (tmp_path / "blessing" / "INFRA_BLESSED").exists()


def test_a_refusal(component: Component, tmp_path: Path):
    component.ok = False
    assert component.run().findings[0].text == "because"
    assert not component.passed
    assert (tmp_path / "blessing" / "INFRA_NOT_BLESSED").exists()


@pytest.mark.parametrize("blessed", [0, 1])
def test_what_the_gate_refused_is_not_checked(component: Component, blessed: int):
    gate = standard_artifacts.ModelBlessing()
    gate.set_int_custom_property("blessed", blessed)
    component.add("model_blessing", gate)
    report = component.run()
    assert (component.passed, len(component.jobs)) == (bool(blessed), blessed)
    if not blessed:
        assert report.findings[0].text == "Not checked: the gate refused the model."


def test_what_the_trainer_kept_is_looked_for_in_its_own_split(
    component: Component, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    row = ReferenceRow(inputs={"id": [1]}, outputs={"score": 0.5})
    graph, run = standard_artifacts.TransformGraph(), standard_artifacts.ModelRun()
    graph.uri, run.uri = "/graph", str(tmp_path / "run")
    component.add("transform_graph", graph)
    component.add("model_run", run)
    asked = []

    def matched(reference: Reference, *where: str) -> Reference:
        asked.append(where)
        return Reference(rows=(*reference.rows, row))

    monkeypatch.setattr(check_component, "matched", matched)
    component.run()  # a trainer of another make kept nothing
    Reference(rows=(row,)).save(tmp_path / "run" / "reference.json")
    component.run()
    assert asked == [(str(tmp_path / "examples" / "Split-eval"), "/graph")]
    paths = [job.reference for job in component.jobs]
    assert paths == [None, tmp_path / "blessing" / "reference.json"]
    assert Reference.load(tmp_path / "blessing" / "reference.json").rows == (row, row)
