"""Going back to an earlier version: what is served afterwards, and what is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.types import standard_artifacts

from babelrank.components.config import from_dict
from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.serving.manifest import Manifest, digest
from babelrank.components.serving.versions import Ledger, all_versions, push, unfinished
from babelrank.pipelines import blessings, rollback
from babelrank.pipelines.config import RankingConfig
from babelrank.pipelines.database import connection
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import Lease, alone
from babelrank.pipelines.rollback import Rollback, roll_back


def known_model(out: Path, folder: Path) -> None:
    """Puts a model into the ML Metadata of an output folder."""
    store = MetadataStore(connection(Layout(out)))
    number = store.put_artifact_type(standard_artifacts.Model().artifact_type)
    live = proto.Artifact.LIVE
    store.put_artifacts([proto.Artifact(type_id=number, uri=str(folder), state=live)])


def marks(out: Path) -> dict[str, str]:
    """The models in ML Metadata that were rolled back, and why."""
    store = MetadataStore(connection(Layout(out)))
    found = store.get_artifacts_by_type(standard_artifacts.Model.TYPE_NAME)
    return {
        Path(one.uri).name: one.custom_properties["rolled_back"].string_value
        for one in found
        if "rolled_back" in one.custom_properties
    }


class Shop:
    """A pipeline whose versions are files with a word in them."""

    def __init__(self, out: Path) -> None:
        self.out, self.serving = out, out / "serving"
        data = {"path": "x.csv", "label": "y", "categorical": ["user"]}
        plain = {"data": data, "evaluation": {"min_auc": 0.6}}
        self.config = from_dict(RankingConfig, plain)

    def push(self, word: str) -> str:
        """Pushes a model; returns the version's name."""
        model = self.out / "artifacts" / word
        if not model.exists():
            model.mkdir(parents=True)
            (model / "saved_model.pb").write_text(word)
            known_model(self.out, model)
        source = f"{model}/Format-Serving"
        about = Manifest(digest=digest(model), source=source, run_id=f"run-{word}", spans=(1,))
        return push(model, self.serving, about)[0].name

    def back(self, to: str | None = None, reason: str = "r") -> Rollback:
        return roll_back(self.config, self.out, to, reason)

    def words(self) -> list[str]:
        """The words of all versions, oldest first; those that were rolled back in brackets."""
        found = []
        for one in all_versions(self.serving):
            assert one.path is not None
            word = (one.path / "saved_model.pb").read_text()
            found.append(f"({word})" if one.rolled_back else word)
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "out")


def test_the_version_before_is_served_again(shop: Shop):
    first, second = shop.push("a"), shop.push("b")
    done = shop.back(reason="it shouts")
    assert (done.back_to, done.bad) == (first, (second,))
    assert shop.words() == ["a", "(b)", "a"]
    *_, bad, now = all_versions(shop.serving)
    assert now.name == done.now
    assert bad.rolled_back is not None
    assert (bad.rolled_back.version, bad.rolled_back.reason) == (second, "it shouts")
    assert now.manifest is not None
    assert (now.manifest.copy_of, now.manifest.run_id) == (first, "run-a")
    assert Ledger.load(shop.serving).unfinished == ""


def test_back_and_further_back(shop: Shop):
    names = [shop.push(word) for word in "abc"]
    assert shop.back().back_to == names[1]
    assert shop.words() == ["a", "b", "(c)", "b"]
    done = shop.back()
    assert (done.back_to, done.bad) == (names[0], (names[1],))  # c was rolled back before
    assert shop.words() == ["a", "(b)", "(c)", "(b)", "a"]
    with pytest.raises(BabelRankError, match="no version to go back to: no other model than that"):
        shop.back()
    assert shop.words() == ["a", "(b)", "(c)", "(b)", "a"]


def test_to_a_version_by_name(shop: Shop):
    names = [shop.push(word) for word in "abc"]
    done = shop.back(names[0])
    assert (done.back_to, done.bad) == (names[0], (names[1], names[2]))
    assert shop.words() == ["a", "(b)", "(c)", "a"]
    again = shop.back(names[0])
    assert (again.bad, again.now) == ((), done.now)
    assert shop.words() == ["a", "(b)", "(c)", "a"]


def test_to_a_version_that_was_rolled_back(shop: Shop):
    _, second = shop.push("a"), shop.push("b")
    shop.back()
    done = shop.back(second)
    assert shop.words() == ["a", "b", "a", "b"]
    assert (done.back_to, done.bad) == (second, ())
    shop.back()
    assert shop.words() == ["a", "(b)", "a", "(b)", "a"]


def test_what_a_newer_model_replaces_is_not_bad(shop: Shop):
    names = [shop.push(word) for word in "abac"]
    done = shop.back()
    assert (done.back_to, done.bad) == (names[2], (names[3],))
    assert shop.words() == ["a", "b", "a", "(c)", "a"]


def test_a_copy_of_the_newest_is_nothing_to_go_back_to(shop: Shop):
    for word in "aba":
        shop.push(word)
    shop.back()
    assert shop.words() == ["(a)", "b", "(a)", "b"]


def test_a_version_that_something_else_pushed(shop: Shop):
    foreign = shop.serving / "7"
    foreign.mkdir(parents=True)
    (foreign / "saved_model.pb").write_text("f")
    shop.push("a")
    assert shop.back().back_to == "7"
    assert shop.words() == ["f", "(a)", "f"]


def test_nothing_to_go_back_to(shop: Shop):
    with pytest.raises(BabelRankError, match="nothing was pushed there yet"):
        shop.back()
    name = shop.push("a")
    with pytest.raises(BabelRankError, match="Name one by --to"):
        shop.back()
    with pytest.raises(ConfigError, match=f"--to: .* has no version 12; takes {name}"):
        shop.back("12")


def test_not_while_a_run_is_going_on(shop: Shop):
    shop.push("a")
    shop.push("b")
    with alone(shop.out), pytest.raises(BabelRankError, match="another run is using this folder"):
        shop.back()
    lease = Lease(shop.out)
    lease.take("run-1", 60)
    with pytest.raises(BabelRankError, match="the run run-1 is using this folder"):
        shop.back()
    lease.release("run-1")
    assert shop.words() == ["a", "b"]
    assert shop.back().bad


@pytest.mark.parametrize("killed", ["Ledger.save", "withdraw", "restore", "push", "last save"])
def test_a_second_call_finishes_what_a_killed_one_began(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, killed: str
):
    first, second = shop.push("a"), shop.push("b")
    withdrawn: list[str] = []
    real, saves = blessings.Blessings.withdraw, []

    def withdraw(self: Any, manifests: Any, reason: str) -> list[str]:
        given = list(manifests)
        withdrawn.extend(Path(one.source).parent.name for one in given)
        return real(self, given, reason)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    save = Ledger.save

    def saved(self: Ledger, folder: Path) -> None:
        saves.append(self.unfinished)
        if len(saves) == (1 if killed == "Ledger.save" else 2):
            raise KeyboardInterrupt
        save(self, folder)

    monkeypatch.setattr(blessings.Blessings, "withdraw", withdraw)
    with monkeypatch.context() as patch:
        if "ave" in killed:
            patch.setattr(Ledger, "save", saved)
        elif killed == "push":
            patch.setattr(rollback, "push", die)
        else:
            patch.setattr(blessings.Blessings, killed, die)
        with pytest.raises(KeyboardInterrupt):
            shop.back(reason="first")
    done = shop.back(reason="second")
    assert (done.back_to, done.bad) == (first, (second,))
    assert withdrawn[-1:] == ["b"]
    assert shop.words() == ["a", "(b)", "a"]
    assert Ledger.load(shop.serving).unfinished == ""
    reason = all_versions(shop.serving)[1].rolled_back
    assert reason is not None
    assert reason.reason == ("second" if killed == "Ledger.save" else "first")


def test_another_folder_of_versions(shop: Shop, tmp_path: Path):
    shop.serving = tmp_path / "elsewhere"
    plain = {"path": "x.csv", "label": "y", "categorical": ["user"]}
    shop.config = from_dict(
        RankingConfig,
        {
            "data": plain,
            "evaluation": {"min_auc": 0.6},
            "push": {"directory": str(shop.serving)},
        },
    )
    shop.push("a")
    shop.push("b")
    shop.back()
    assert shop.words() == ["a", "(b)", "a"]
    assert (shop.out / "metadata.sqlite").exists()


def test_another_ml_metadata_leaves_the_rollback_unfinished(shop: Shop, tmp_path: Path):
    first, second = shop.push("a"), shop.push("b")
    ours, away = shop.out / "metadata.sqlite", tmp_path / "away.sqlite"
    ours.rename(away)
    message = rf"is served, has the earlier model; .* knows no model of version {second}: .* again"
    for _ in range(2):
        with pytest.raises(BabelRankError, match=message):
            shop.back(reason="it shouts")
        assert shop.words() == ["a", "(b)", "a"]
        assert Ledger.load(shop.serving).unfinished == first
    away.replace(ours)
    done = shop.back(reason="it shouts")
    assert (done.back_to, done.bad) == (first, (second,))
    assert shop.words() == ["a", "(b)", "a"]
    assert marks(shop.out) == {"b": "it shouts"}
    assert Ledger.load(shop.serving).unfinished == ""


def test_what_is_served_already_is_marked_all_the_same(shop: Shop):
    first, _ = shop.push("a"), shop.push("b")
    shop.back(reason="r")
    (shop.out / "metadata.sqlite").unlink()
    known_model(shop.out, shop.out / "artifacts" / "b")
    done = shop.back(first, reason="later")
    assert [Path(one).name for one in done.models] == ["b"]
    assert marks(shop.out) == {"b": "later"}
    assert shop.words() == ["a", "(b)", "a"]


def test_an_unfinished_rollback_is_over_when_something_was_pushed_since(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    first, second = shop.push("a"), shop.push("b")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "push", die)
        with pytest.raises(KeyboardInterrupt):
            shop.back()
    assert unfinished(shop.serving) == first
    third = shop.push("c")
    assert unfinished(shop.serving) == ""
    assert shop.back().back_to == first  # b was rolled back, c is newer
    assert shop.words() == ["a", "(b)", "(c)", "a"]
    ledger = Ledger.load(shop.serving)
    assert (ledger.unfinished, ledger.newest) == ("", "")
    assert {one.version for one in ledger.rolled_back.values()} == {second, third}


def test_a_rollback_without_a_reason(shop: Shop):
    shop.push("a")
    shop.push("b")
    shop.back(reason=" ")
    assert marks(shop.out) == {"b": "no reason was given"}
