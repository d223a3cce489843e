"""What a cleaning takes away, and above all what it leaves."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.types import standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError, InputError
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.serving.manifest import Manifest
from babelrank.components.serving.versions import all_versions, push
from babelrank.pipelines import retention, rollback
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.history import past_runs
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone
from babelrank.pipelines.retention import clean
from babelrank.pipelines.rollback import roll_back

Inputs = Sequence[tuple[str, proto.Artifact]]
OUTPUT, INPUT = proto.Event.OUTPUT, proto.Event.INPUT


class Shop:
    """An output folder as runs leave it, with small files in place of models."""

    def __init__(self, out: Path) -> None:
        self.layout = Layout(out)
        out.mkdir()
        self.store = MetadataStore(connection(self.layout))
        self.pipeline = self._context("pipeline", "shop")
        self.now = 0
        self.models: dict[int, proto.Artifact] = {}

    def config(self, pattern: str = "day={SPAN}/x.csv", **kept: int) -> RankingConfig:
        data = {"path": pattern, "label": "y", "categorical": ["user"]}
        plain = {"data": data, "evaluation": {"min_auc": 0.6}, "name": "shop"}
        return from_dict(RankingConfig, {**plain, "retention": kept})

    def run(
        self,
        spans: Sequence[int],
        status: str | None = "pushed",
        base: int | None = None,
        subwords: proto.Artifact | None = None,
    ) -> str:
        """A run to its end; None: it was killed after its training."""
        self.now += 1
        run_id = f"run-{self.now}"
        folder = self.layout.runs / run_id
        folder.mkdir(parents=True)
        run = self._context("pipeline_run", run_id)
        texts = {"spans": json.dumps(list(spans))}
        raw = {"examples": standard_artifacts.Examples}
        (examples,) = self._step(run, "Ingest", [], raw, texts)
        learned = {"subwords": SubwordModel}
        inputs = [("examples", examples)]
        inputs += [] if subwords is None else [("reuse", subwords)]
        (vocabulary,) = self._step(run, "SubwordVocabulary", inputs, learned)
        told = {"statistics": standard_artifacts.ExampleStatistics}
        self._step(run, "StatisticsGen", [("examples", examples)], told)
        graph, ids = self._step(
            run,
            "Transform",
            [("examples", examples), ("subwords", vocabulary)],
            {
                "transform_graph": standard_artifacts.TransformGraph,
                "transformed_examples": standard_artifacts.Examples,
            },
        )
        inputs = [("examples", ids), ("transform_graph", graph)]
        inputs += [] if base is None else [("base_model", self.models[base])]
        model, _ = self._step(
            run,
            "Trainer",
            inputs,
            {"model": standard_artifacts.Model, "model_run": standard_artifacts.ModelRun},
        )
        self.models[self.now] = model
        if status is None:
            checkpoint = self.layout.training / run_id
            checkpoint.mkdir(parents=True)
            (checkpoint / "step").write_text("5")
            started = 1000 + self.now
            os.utime(folder, (started, started))
            return run_id
        good = int(status in ("pushed", "blessed"))
        numbers = {"current_model_id": model.id, "blessed": good}
        judged = {"blessing": standard_artifacts.ModelBlessing}
        inputs = [("model", model)]
        inputs += [] if base is None else [("baseline_model", self.models[base])]
        self._step(run, "Evaluator", inputs, judged, numbers=numbers)
        if status == "pushed":
            about = Manifest(digest=run_id, source=f"{model.uri}/x", run_id=run_id)
            push(Path(model.uri), self.layout.serving, about)
            pushed = {"pushed_model": standard_artifacts.PushedModel}
            digest = {"digest": run_id}
            self._step(run, "Pusher", [("model", model)], pushed, digest, {"pushed": 1})
        started = datetime.datetime.fromtimestamp(1000 + self.now).astimezone().isoformat()
        report = {"status": status, "spans": list(spans), "started": started}
        (folder / "run.json").write_text(json.dumps(report))
        return run_id

    def left(self, step: str, key: str) -> list[int]:
        """Numbers of the runs whose output is there, in the folder as in ML Metadata."""
        found = []
        for folder in (self.layout.artifacts / step / key).glob("*"):
            found.append(int((folder / "run").read_text().removeprefix("run-")))
        live = []
        for one in self.store.get_artifacts():
            if f"/{step}/{key}/" in one.uri and one.state == proto.Artifact.LIVE:
                live.append(int(one.custom_properties["run"].string_value.removeprefix("run-")))
        assert sorted(found) == sorted(live)
        return sorted(found)

    def runs(self) -> list[str]:
        return sorted(path.name for path in self.layout.runs.iterdir() if path.is_dir())

    def _context(self, kind: str, name: str) -> proto.Context:
        number = self.store.put_context_type(proto.ContextType(name=kind))
        made = proto.Context(type_id=number, name=name)
        (made.id,) = self.store.put_contexts([made])
        return made

    def _step(
        self,
        run: proto.Context,
        name: str,
        inputs: Inputs,
        outputs: dict[str, Any],
        texts: dict[str, str] | None = None,
        numbers: dict[str, int] | None = None,
    ) -> list[proto.Artifact]:
        """An execution, its outputs, and their folders."""
        kind = self.store.put_execution_type(proto.ExecutionType(name=name))
        state = proto.Execution.COMPLETE
        execution = proto.Execution(type_id=kind, last_known_state=state)
        (execution.id,) = self.store.put_executions([execution])
        made = []
        for key, cls in outputs.items():
            type_id = self.store.put_artifact_type(cls().artifact_type)
            uri = self.layout.artifacts / name / key / str(execution.id)
            uri.mkdir(parents=True)
            (uri / "run").write_text(run.name)
            one = proto.Artifact(type_id=type_id, uri=str(uri), state=proto.Artifact.LIVE)
            for field, text in {"run": run.name, **(texts or {})}.items():
                one.custom_properties[field].string_value = text
            for field, number in (numbers or {}).items():
                one.custom_properties[field].int_value = number
            (one.id,) = self.store.put_artifacts([one])
            made.append(one)
        notes = self.layout.artifacts / name / ".system" / "executor_execution" / str(execution.id)
        notes.mkdir(parents=True)
        events = []
        for direction, pairs in (
            (INPUT, inputs),
            (OUTPUT, list(zip(outputs, made, strict=True))),
        ):
            for key, one in pairs:
                event = proto.Event(execution_id=execution.id, artifact_id=one.id, type=direction)
                event.path.steps.add(key=key)
                events.append(event)
        self.store.put_events(events)
        links = [
            proto.Association(execution_id=execution.id, context_id=c.id) for c in self._in(run)
        ]
        known = [
            proto.Attribution(artifact_id=a.id, context_id=c.id)
            for a in made
            for c in self._in(run)
        ]
        self.store.put_attributions_and_associations(known, links)
        return made

    def _in(self, run: proto.Context) -> tuple[proto.Context, ...]:
        return self.pipeline, run


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "out")


def test_nothing_ran_yet(shop: Shop):
    freed = clean(shop.config(), shop.layout.out)
    assert set(freed.values()) == {(0, 0)}


def test_the_newest_spans_are_kept_whole_and_good_models_with_what_they_need(shop: Shop):
    for number in range(1, 6):
        shop.run((number, number + 1), base=number - 1 or None)
    config = shop.config(versions=3, runs=2, spans=2)
    dry = clean(config, shop.layout.out, dry_run=True)
    assert shop.left("Ingest", "examples") == [1, 2, 3, 4, 5]
    freed = clean(config, shop.layout.out)
    assert freed == dry
    assert freed["pushed versions"][0] == 2
    for step, key in (("Ingest", "examples"), ("Transform", "transformed_examples")):
        assert shop.left(step, key) == [4, 5], key
    for step, key in (
        ("Trainer", "model"),
        ("Trainer", "model_run"),
        ("Transform", "transform_graph"),
        ("SubwordVocabulary", "subwords"),
        ("StatisticsGen", "statistics"),
        ("Evaluator", "blessing"),
        ("Pusher", "pushed_model"),
    ):
        assert shop.left(step, key) == [3, 4, 5], key
    assert shop.runs() == ["run-3", "run-4", "run-5"]  # run-3: of a version that is kept
    assert [one.path is not None for one in all_versions(shop.layout.serving)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    again = clean(config, shop.layout.out)
    assert set(again.values()) == {(0, 0)}


def test_the_last_good_model_is_kept_however_many_were_refused_since(shop: Shop):
    shop.run((1,))
    for number in range(2, 6):
        shop.run((number,), "refused", base=1)
    clean(shop.config(versions=1, runs=1, spans=1), shop.layout.out)
    assert shop.left("Trainer", "model") == [1, 5]
    assert shop.left("Ingest", "examples") == [5]
    assert shop.left("StatisticsGen", "statistics") == [1, 5]
    assert shop.runs() == ["run-1", "run-5"]


def test_a_model_that_was_blessed_and_not_pushed_is_kept_beside_the_pushed_one(shop: Shop):
    shop.run((1,))
    shop.run((2,), "blessed", base=1)
    shop.run((3,), "refused", base=2)
    clean(shop.config(versions=1, runs=1, spans=1), shop.layout.out)
    assert shop.left("Trainer", "model") == [1, 2, 3]


def test_a_vocabulary_is_kept_with_the_one_that_it_was_copied_from(shop: Shop):
    shop.run((1,))
    (learned,) = [a for a in shop.store.get_artifacts() if "/subwords/" in a.uri]
    shop.run((2,), subwords=learned)
    shop.run((3,), "refused")
    clean(shop.config(versions=1, runs=1, spans=1), shop.layout.out)
    assert shop.left("Trainer", "model") == [2, 3]
    assert shop.left("SubwordVocabulary", "subwords") == [1, 2, 3]


def test_what_the_newest_run_started_from_is_kept(shop: Shop):
    """Run again, it would start from another model, and so train again."""
    for number in (1, 2, 3):
        shop.run((number,), base=number - 1 or None)
    clean(shop.config(versions=1, runs=1, spans=1), shop.layout.out)
    assert shop.left("Trainer", "model") == [2, 3]


def test_after_a_rollback_the_older_model_is_the_good_one(shop: Shop):
    shop.run((1,))
    shop.run((2,), base=1)
    config = shop.config(versions=1, runs=1, spans=1)
    roll_back(config, shop.layout.out, None, "r")
    shop.run((3,), "refused", base=1)
    clean(config, shop.layout.out)
    assert shop.left("Trainer", "model") == [1, 3]
    first, second, third = all_versions(shop.layout.serving)
    assert first.path is not None  # its model is the baseline
    assert (second.path, second.rolled_back is not None) == (None, True)
    assert third.path is not None


@pytest.mark.parametrize("status", ["failed", "interrupted", None])
def test_what_an_unfinished_run_needs_is_kept(shop: Shop, status: str | None):
    shop.run((3,))
    unfinished = shop.run((1,), status, base=1)
    (shop.layout.training / "checkpoint").mkdir(parents=True, exist_ok=True)
    config = shop.config(versions=1, runs=1, spans=1)
    clean(config, shop.layout.out)
    assert shop.left("Ingest", "examples") == [1, 2]
    assert unfinished in shop.runs()
    assert (shop.layout.training / "checkpoint").is_dir()
    shop.run((4,), base=1)  # a later run came to its end: nobody will go on with the other
    freed = clean(config, shop.layout.out)
    assert shop.left("Ingest", "examples") == [3]
    assert unfinished not in shop.runs()
    assert list(shop.layout.training.iterdir()) == []
    assert freed["checkpoints of trainings"][0] == (2 if status is None else 1)


def test_what_killed_steps_and_pushes_left_goes(shop: Shop):
    shop.run((1,))
    kind = shop.store.put_execution_type(proto.ExecutionType(name="Trainer"))
    running = proto.Execution(type_id=kind, last_known_state=proto.Execution.RUNNING)
    (killed,) = shop.store.put_executions([running])
    link = proto.Association(execution_id=killed, context_id=shop.pipeline.id)
    shop.store.put_attributions_and_associations([], [link])
    left = shop.layout.artifacts / "Trainer" / "model" / str(killed)
    left.mkdir()
    (left / "half").write_text("1234")
    (shop.layout.serving / ".pushing-5-6").mkdir()
    other = shop.layout.artifacts / "Trainer" / "model" / "99"  # of somebody else
    other.mkdir()
    freed = clean(shop.config(), shop.layout.out)
    assert freed["outputs of steps"] == (1, 4)
    assert freed["leftovers of pushes"] == (1, 0)
    assert not left.exists()
    assert other.exists()
    other.rmdir()
    assert shop.left("Trainer", "model") == [1]


def test_a_second_call_finishes_what_a_killed_one_began(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    for number in (1, 2):
        shop.run((number,))
    config = shop.config(versions=1, runs=1, spans=1)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retention.shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            clean(config, shop.layout.out)
    clean(config, shop.layout.out)
    assert shop.left("Trainer", "model") == [2]
    assert len([one for one in all_versions(shop.layout.serving) if one.path]) == 1


def test_data_without_spans_count_by_data_set(shop: Shop):
    for number in (1, 2, 3):
        shop.run((0,), base=number - 1 or None)
    clean(shop.config("x.csv", versions=1, runs=1, spans=2), shop.layout.out)
    assert shop.left("Ingest", "examples") == [2, 3]


def test_other_pipelines_and_other_folders_are_left_alone(shop: Shop, tmp_path: Path):
    shop.run((1,))
    shop.run((2,), base=1)
    config = shop.config(versions=1, runs=1, spans=1)
    clean(dataclasses.replace(config, name="other"), shop.layout.out)
    other = tmp_path / "other"  # of the same name, with the same database
    other.mkdir()
    database = tmp_path / "out" / "metadata.sqlite"
    os.link(database, other / "metadata.sqlite")
    with pytest.raises(BabelRankError, match="none of the 18 outputs of shop .* is in this folder"):
        clean(config, other)
    live = [a for a in shop.store.get_artifacts() if a.state == proto.Artifact.LIVE]
    assert len(live) == len(shop.store.get_artifacts())
    assert shop.left("Trainer", "model") == [1, 2]


def test_not_while_a_run_is_going_on(shop: Shop):
    with alone(shop.layout.out), pytest.raises(BabelRankError, match="another run is using"):
        clean(shop.config(), shop.layout.out)


def test_the_run_on_the_newest_span_is_remembered(shop: Shop):
    shop.run((9,))
    for number in (1, 2):
        shop.run((number,), "refused", base=1)
    clean(shop.config(versions=1, runs=1, spans=1), shop.layout.out)
    assert shop.runs() == ["run-1", "run-3"]


def test_another_path_to_the_folder(shop: Shop, tmp_path: Path):
    for number in (1, 2):
        shop.run((number,), base=number - 1 or None)
    shop.run((3,), "refused", base=2)
    link = tmp_path / "link"
    link.symlink_to(shop.layout.out)
    config = shop.config(versions=1, runs=1, spans=1)
    assert clean(config, link, dry_run=True) == clean(config, shop.layout.out, dry_run=True)
    clean(config, link)
    assert shop.left("Trainer", "model") == [2, 3]


def test_outputs_whose_paths_are_written_otherwise_are_left_alone(shop: Shop, tmp_path: Path):
    """As when the folder was mounted at another place for some of the runs."""
    shop.run((1,))
    for one in (made := shop.store.get_artifacts()):
        one.uri = one.uri.replace(str(tmp_path), "/mnt")
    shop.store.put_artifacts(made)
    shop.run((2,), "refused")
    shop.run((3,), "refused")
    clean(shop.config(versions=1, runs=1, spans=1), shop.layout.out)
    models = shop.layout.artifacts / "Trainer" / "model"
    assert sorted((one / "run").read_text() for one in models.iterdir()) == ["run-1", "run-3"]


def test_what_was_judged_is_remembered_without_the_reports(shop: Shop):
    for number in range(1, 5):
        shop.run((number,), "refused")
    shop.run((5,), "failed")
    before = past_runs(shop.layout.runs)
    config = shop.config(versions=1, runs=1, spans=1)
    for _ in range(2):
        clean(config, shop.layout.out)
        assert shop.runs() == ["run-4", "run-5"]
        assert past_runs(shop.layout.runs) == before
    (shop.layout.runs / "judged.json").write_text("[1]")
    with pytest.raises(InputError, match=r"judged\.json: cannot be read .* Restore it, or remove"):
        past_runs(shop.layout.runs)


def test_spans_that_are_excluded_are_not_among_the_newest(shop: Shop):
    for number in (1, 2, 9):
        shop.run((number,), "refused")
    shop.run((1, 2), "refused")
    config = shop.config(versions=1, runs=1, spans=1)
    config = dataclasses.replace(config, spans=SpansConfig(exclude=(9,)))
    clean(config, shop.layout.out)
    assert shop.left("Ingest", "examples") == [2, 4]
    assert shop.runs() == ["run-4"]


def test_versions_that_do_not_count(shop: Shop):
    """Neither those that were rolled back, nor those that something else pushed."""
    (shop.layout.serving / "5").mkdir(parents=True)
    for number in range(1, 5):
        shop.run((number,), base=number - 1 or None)
    config = shop.config(versions=2, runs=9, spans=1)
    roll_back(config, shop.layout.out, None, "r")
    clean(config, shop.layout.out)
    kept = [one.path is not None for one in all_versions(shop.layout.serving)]
    assert kept == [True, False, False, True, True, True]


def test_the_version_that_a_killed_rollback_goes_back_to(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    for number in range(1, 5):
        shop.run((number,), base=number - 1 or None)
    config = shop.config(versions=1, runs=9, spans=1)
    first = all_versions(shop.layout.serving)[0].name

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "push", die)
        with pytest.raises(KeyboardInterrupt):
            roll_back(config, shop.layout.out, first, "r")
    clean(config, shop.layout.out)
    assert roll_back(config, shop.layout.out, None, "r").back_to == first
