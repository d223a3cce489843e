"""Tests of pushed versions: complete or not at all, only rising, remembered when they are gone."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from babelrank.components.errors import ModelError
from babelrank.components.serving import versions as pushing
from babelrank.components.serving.manifest import MANIFEST, Manifest, digest
from babelrank.components.serving.versions import (
    LEDGER,
    Ledger,
    RolledBack,
    all_versions,
    leftovers,
    push,
    remove,
    unfinished,
    versions,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make(tmp_path / "model", "one")


def make(folder: Path, content: str) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.index").write_text("v")
    return folder


def content(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_push_is_a_copy_with_a_manifest(model: Path, tmp_path: Path):
    before = int(time.time())
    version, new = push(model, tmp_path / "deep" / "serving")
    assert new
    assert version.parent == tmp_path / "deep" / "serving"
    assert before <= int(version.name) <= time.time()
    assert content(version) == content(model) | {MANIFEST}
    assert (version / "saved_model.pb").read_text() == "one"
    manifest = Manifest.of(version)
    assert manifest is not None
    assert (manifest.digest, manifest.source) == (digest(model), str(model))
    assert datetime.datetime.fromisoformat(manifest.pushed).timestamp() >= before
    assert content(model) == {"saved_model.pb", "variables/variables.index"}


def test_the_same_model_is_not_pushed_twice(model: Path, tmp_path: Path):
    serving = tmp_path / "serving"
    version, _ = push(model, serving)
    again = shutil.copytree(model, tmp_path / "elsewhere")
    assert push(again, serving) == (version, False)
    assert push(version, serving) == (version, False)  # the manifest does not count
    assert versions(serving) == [version]


def test_what_is_served_is_what_was_pushed_last(model: Path, tmp_path: Path):
    serving = tmp_path / "serving"
    first, _ = push(model, serving)
    second, _ = push(make(tmp_path / "other", "two"), serving)
    third, new = push(model, serving)
    assert new
    assert versions(serving) == [first, second, third]


def test_the_leftovers_of_a_killed_push_go(model: Path, tmp_path: Path):
    leftover = tmp_path / "serving" / ".pushing-1-1"
    leftover.mkdir(parents=True)
    version, _ = push(model, tmp_path / "serving")
    assert list((tmp_path / "serving").iterdir()) == [version]


def test_versions_rise_within_a_second_and_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    clock = iter([100.9, 100.9, 50.0, 200.0])
    monkeypatch.setattr(pushing.time, "time", lambda: next(clock))
    pushed = [push(make(tmp_path / f"m{i}", str(i)), tmp_path / "s")[0] for i in range(4)]
    assert [version.name for version in pushed] == ["100", "101", "102", "200"]


def test_foreign_folders_are_left_alone(model: Path, tmp_path: Path):
    serving = tmp_path / "serving"
    make(serving / "99999999999", "foreign")
    make(serving / "latest", "foreign")
    (serving / "00000000000000000007").mkdir()
    (serving / "12").write_text("a file")
    version, new = push(model, serving)
    assert new
    assert version.name == "100000000000"
    assert content(serving / "99999999999") == {"saved_model.pb", "variables/variables.index"}
    names = [v.name for v in versions(serving)]
    assert names == ["00000000000000000007", "99999999999", "100000000000"]


@pytest.mark.parametrize("manifest", ["", "{", '{"other": 1}'])
def test_a_broken_manifest_is_no_version_of_ours(model: Path, tmp_path: Path, manifest: str):
    serving = tmp_path / "serving"
    version, _ = push(model, serving)
    (version / MANIFEST).write_text(manifest)
    assert push(model, serving)[1]
    assert len(versions(serving)) == 2


@pytest.mark.parametrize("step", ["copytree", "sync_tree", "rename"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_what_fails_leaves_nothing(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
):
    serving = tmp_path / "serving"
    seen = []

    def fail(*paths: object) -> None:
        seen.append([p.name for p in serving.iterdir()])
        raise error

    def half(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "saved_model.pb").write_text("o")
        fail()

    if step == "copytree":
        monkeypatch.setattr(pushing.shutil, "copytree", half)
    elif step == "sync_tree":
        monkeypatch.setattr(pushing.durable, "sync_tree", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(type(error)):
        push(model, serving)
    # While it was being written, no server could have taken it for a version.
    assert [name[0] for names in seen for name in names] == ["."]
    assert list(serving.iterdir()) == []


def test_everything_is_synced_before_it_is_visible(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[tuple[str, bool]] = []
    serving = tmp_path / "serving"

    def fsync(handle: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{handle}"), bool(versions(serving))))

    monkeypatch.setattr(pushing.os, "fsync", fsync)
    push(model, serving)
    before = {Path(path).name for path, visible in synced if not visible}
    assert before >= {"saved_model.pb", "variables", "variables.index", "babelrank_push.json"}
    assert [path for path, visible in synced if visible] == [str(serving)]


def test_digest_sees_names_and_contents(model: Path, tmp_path: Path):
    first = digest(model)
    (model / "empty").mkdir()
    assert digest(model) == first
    (model / "saved_model.pb").rename(model / "renamed.pb")
    assert digest(model) != first
    (model / "renamed.pb").rename(model / "saved_model.pb")
    assert digest(model) == first
    (model / "variables" / "variables.index").write_text("w")
    assert digest(model) != first


KNOWN = Manifest(
    digest="d", source="s", pushed="then", run_id="r", spans=(1, 2), metrics={"auc": 0.7}
)


def test_a_manifest_says_what_it_is_told(model: Path, tmp_path: Path):
    version, _ = push(model, tmp_path / "serving", KNOWN)
    found = Manifest.of(version)
    assert found is not None
    assert dataclasses.replace(found, pushed="then") == KNOWN
    assert found.pushed != "then"
    newer = {**json.loads((version / MANIFEST).read_text()), "mood": "good"}
    assert Manifest.from_dict(newer) == found


def test_what_was_pushed(model: Path, tmp_path: Path):
    serving = tmp_path / "serving"
    make(serving / "7", "foreign")
    first, _ = push(model, serving)
    second, _ = push(make(tmp_path / "other", "two"), serving)
    entry = RolledBack(version=second.name, reason="it shouts", when="today")
    other = digest(tmp_path / "other")
    Ledger(rolled_back={other: entry}).save(serving)
    foreign, one, two = all_versions(serving)
    assert (foreign.name, foreign.manifest, foreign.rolled_back) == ("7", None, None)
    assert foreign.digest() == digest(serving / "7")
    assert (one.name, one.path, one.rolled_back) == (first.name, first, None)
    assert (two.digest(), two.rolled_back) == (other, entry)
    assert all_versions(tmp_path / "none") == []


def test_a_removed_version_is_remembered(model: Path, tmp_path: Path):
    serving = tmp_path / "serving"
    make(serving / "7", "foreign")
    first, _ = push(model, serving, KNOWN)
    second, _ = push(make(tmp_path / "other", "two"), serving)
    foreign, one, two = all_versions(serving)
    with pytest.raises(ModelError, match=f"version {second.name} is being served"):
        remove(serving, two)
    remove(serving, foreign)
    remove(serving, one)
    assert versions(serving) == [second]
    assert leftovers(serving) == []
    gone, kept = all_versions(serving)
    assert gone == dataclasses.replace(one, path=None)
    assert kept == two
    with pytest.raises(ModelError, match=f"version {first.name} is being served, or gone"):
        remove(serving, gone)
    push(make(tmp_path / "third", "three"), serving)
    assert [version.name for version in all_versions(serving)][:2] == [first.name, second.name]


def test_a_version_is_removed_whole(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    serving = tmp_path / "serving"
    push(model, serving)
    second, _ = push(make(tmp_path / "other", "two"), serving)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pushing.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(serving, all_versions(serving)[0])
    assert versions(serving) == [second]
    (left,) = leftovers(serving)
    assert content(left) == content(model) | {MANIFEST}
    push(model, serving)
    assert leftovers(serving) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rolled_back": {}}'])
def test_a_broken_ledger_is_an_error(tmp_path: Path, text: str):
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(ModelError, match="babelrank.json: cannot be read .* were rolled back"):
        Ledger.load(tmp_path)


def test_a_ledger_is_what_was_saved(tmp_path: Path):
    entry = RolledBack(version="3", reason="r", when="w")
    ledger = Ledger(rolled_back={"d": entry}, removed={"1": KNOWN}, unfinished="2")
    ledger.save(tmp_path)
    assert Ledger.load(tmp_path) == ledger
    assert os.listdir(tmp_path) == [LEDGER]


def test_a_version_that_something_else_pushed_can_be_rolled_back(tmp_path: Path):
    foreign = make(tmp_path / "serving" / "7", "foreign")
    bad = RolledBack(version="7", reason="r", when="2026-01-01")
    Ledger(rolled_back={digest(foreign): bad}).save(tmp_path / "serving")
    (found,) = all_versions(tmp_path / "serving")
    assert (found.manifest, found.rolled_back) == (None, bad)


def test_an_unfinished_rollback_from_before_its_newest_version_was_noted(tmp_path: Path):
    make(tmp_path / "7", "one")
    plain = {"rolled_back": {}, "removed": {}, "unfinished": "7"}
    (tmp_path / LEDGER).write_text(json.dumps(plain))
    assert unfinished(tmp_path) == "7"
