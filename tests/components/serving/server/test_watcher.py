"""Tests of which version answers, in this process: what is refused, and what comes in its place."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from babelrank.components.errors import ModelError
from babelrank.components.serving import versions
from babelrank.components.serving.manifest import Manifest
from babelrank.components.serving.server import watcher
from babelrank.components.serving.server.refusals import NotReady
from babelrank.components.serving.server.requests import Question
from babelrank.components.serving.server.served import Served
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.server.watcher import Watcher
from babelrank.components.serving.versions import Ledger, RolledBack
from tests.components.serving.server.models import alter, pushed, save_scorer

ROW = Question("predict_rows", [{}])


class Figures:
    """Takes what would be counted."""

    def __init__(self) -> None:
        self.refusals = 0

    def refused(self, model: str) -> None:
        self.refusals += 1

    def changed(self, model: str, version: str, seconds: float) -> None:
        assert seconds > 0

    def batch(self, model: str, size: int) -> None:
        assert size == 1


class Watched:
    """A model, what looks after it, and what is counted."""

    def __init__(self, folder: Path, unverified: bool = False) -> None:
        self.figures: Any = Figures()
        self.served = Served("m", Limits(), self.figures)
        self.watcher = Watcher(self.served, folder, Limits(), self.figures, unverified)

    async def score(self) -> tuple[float, str]:
        """Of an empty row, and the version that said so."""
        (score,), loaded = await self.served.ask(ROW)
        return score, loaded.name


@pytest.fixture
def folder(scorer: Path, tmp_path: Path) -> Path:
    """A folder with one pushed version."""
    pushed(scorer, tmp_path / "serving")
    return tmp_path / "serving"


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model; an empty row scores 1."""
    return save_scorer(tmp_path_factory.mktemp("other") / "model", 1.0)


def test_the_newest_version_answers(folder: Path, other: Path):
    async def scene() -> None:
        one = Watched(folder)
        with pytest.raises(NotReady, match="m: no version is loaded yet"):
            await one.score()
        await one.watcher.look()
        assert (await one.score())[0] == 0.125
        new = pushed(other, folder)
        await one.watcher.look()
        assert await one.score() == (1.0, new.name)
        await one.served.close()

    asyncio.run(scene())


def test_a_ledger_that_cannot_be_read_is_told_once(
    folder: Path, other: Path, caplog: pytest.LogCaptureFixture
):
    async def scene() -> None:
        one = Watched(folder)
        await one.watcher.look()
        pushed(other, folder)
        (folder / versions.LEDGER).write_text("{")
        for _ in range(3):
            await one.watcher.look()
        assert (await one.score())[0] == 0.125
        assert "cannot look for versions" in one.served.trouble
        await one.served.close()

    asyncio.run(scene())
    assert caplog.text.count("cannot look for versions") == 1


def test_who_was_asked_before_a_change_is_answered_by_the_old_version(folder: Path, other: Path):
    async def scene() -> None:
        one = Watched(folder)
        await one.watcher.look()
        asked = asyncio.create_task(one.score())
        await asyncio.sleep(0)
        pushed(other, folder)
        await one.watcher.look()
        assert (await asked)[0] == 0.125
        assert (await one.score())[0] == 1.0
        await one.served.close()

    asyncio.run(scene())


def test_a_refused_version_leaves_the_old_one_and_is_tried_again_when_it_changed(
    folder: Path, other: Path, monkeypatch: pytest.MonkeyPatch
):
    async def scene() -> None:
        one = Watched(folder)
        await one.watcher.look()
        bad = pushed(other, folder)
        alter(bad)
        await one.watcher.look()
        await one.watcher.look()
        assert (await one.score())[0] == 0.125
        assert "was altered after its push" in one.served.trouble
        assert one.figures.refusals == 1
        monkeypatch.setattr(watcher, "AGAIN_SECONDS", 0)
        await one.watcher.look()
        assert one.figures.refusals == 2
        monkeypatch.undo()
        alter(bad)  # as it was
        await one.watcher.look()
        assert await one.score() == (1.0, bad.name)
        assert one.served.trouble == ""
        await one.served.close()

    asyncio.run(scene())


def test_an_older_version_comes_back_when_the_newest_goes(folder: Path, other: Path):
    async def scene() -> None:
        one = Watched(folder)
        new = pushed(other, folder)
        await one.watcher.look()
        shutil.rmtree(new)
        await one.watcher.look()
        assert (await one.score())[0] == 0.125
        shutil.rmtree(folder)
        await one.watcher.look()
        assert (await one.score())[0] == 0.125
        await one.served.close()

    asyncio.run(scene())


def test_what_was_rolled_back_is_passed_over(folder: Path, other: Path):
    async def scene() -> None:
        bad = pushed(other, folder)
        manifest = Manifest.of(bad)
        assert manifest is not None
        rolled = {manifest.digest: RolledBack(version=bad.name, reason="wrong", when="now")}
        dataclasses.replace(Ledger(), rolled_back=rolled).save(folder)
        one = Watched(folder)
        await one.watcher.look()
        assert (await one.score())[0] == 0.125
        await one.served.close()

    asyncio.run(scene())


def test_an_older_good_version_answers_from_the_start(folder: Path, other: Path):
    async def scene() -> None:
        alter(pushed(other, folder))
        one = Watched(folder)
        await one.watcher.look()
        assert (await one.score())[0] == 0.125
        assert "was altered" in one.served.trouble
        await one.served.close()

    asyncio.run(scene())


@pytest.mark.parametrize("broken", ["saved_model.pb", "assets.extra/babelrank_rows.json"])
def test_a_version_that_cannot_be_loaded_is_refused(scorer: Path, tmp_path: Path, broken: str):
    model = shutil.copytree(scorer, tmp_path / "model")
    (model / broken).write_text("{")
    pushed(model, tmp_path / "serving")

    with pytest.raises(ModelError, match="cannot|no model"):
        asyncio.run(Watched(tmp_path / "serving").watcher.look())


def test_without_manifest_only_what_is_wanted_is_served(scorer: Path):
    async def scene() -> None:
        with pytest.raises(ModelError, match=r"has no assets.*start the server with --unverified"):
            await Watched(scorer).watcher.look()
        one = Watched(scorer, unverified=True)
        await one.watcher.look()
        assert await one.score() == (0.125, "model")
        assert one.served.loaded is not None and not one.served.loaded.verified
        await one.served.close()

    asyncio.run(scene())


def test_what_was_altered_is_refused_even_if_unverified_versions_are_served(folder: Path):
    alter(versions.versions(folder)[0])

    with pytest.raises(ModelError, match="was altered after its push"):
        asyncio.run(Watched(folder, unverified=True).watcher.look())


def test_an_empty_folder_is_told(tmp_path: Path):
    with pytest.raises(ModelError, match="no model here. Give the folder"):
        asyncio.run(Watched(tmp_path).watcher.look())


def test_warm_up_requests_are_replayed(scorer: Path, tmp_path: Path):
    async def asked(folder: Path) -> int:
        one = Watched(folder)
        await one.watcher.look()
        assert one.served.loaded is not None
        return one.served.loaded.asked

    versions.push(scorer, tmp_path / "good", warmup=warmup(tmp_path, "predict_rows", 3))
    versions.push(scorer, tmp_path / "bad", warmup=warmup(tmp_path, "other", 1))
    for name, content in (("short", b"no requests"), ("long", b"no requests" * 9)):
        (tmp_path / "requests").write_bytes(content)
        versions.push(scorer, tmp_path / name, warmup=tmp_path / "requests")

    assert asyncio.run(asked(tmp_path / "good")) == 4  # and one that needs no file
    with pytest.raises(ModelError, match="warm-up request 1, to other, fails"):
        asyncio.run(asked(tmp_path / "bad"))
    for name in ("short", "long"):
        with pytest.raises(ModelError, match="no warm-up requests"):
            asyncio.run(asked(tmp_path / name))


def warmup(folder: Path, signature: str, count: int) -> Path:
    """A file of requests of one row, as TensorFlow Serving takes it."""
    log = prediction_log_pb2.PredictionLog()
    request: predict_pb2.PredictRequest = log.predict_log.request
    request.model_spec.signature_name = signature
    columns = {"user": [b"ann"], "price": [1.0], "tags": [b""]}
    for name, value in columns.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    request.inputs["ts"].CopyFrom(tf.make_tensor_proto([1], tf.int64))
    with tf.io.TFRecordWriter(str(folder / "requests")) as writer:
        for _ in range(count):
            writer.write(log.SerializeToString())
    return folder / "requests"
