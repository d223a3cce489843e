"""The commands `versions`, `rollback` and `clean`, as one types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.serving.manifest import Manifest
from babelrank.components.serving.versions import all_versions, push, remove
from babelrank.pipelines import cli, retention
from tests.pipelines.test_rollback import known_model

SETTINGS: dict[str, Any] = {
    "ranking": {
        "data": {"path": "x.csv", "label": "y", "categorical": ["user"]},
        "evaluation": {"min_auc": 0.6},
    },
    "translation": {
        "data": {"path": "x.tsv", "source": "en", "target": "de"},
        "evaluation": {"min_bleu": 20},
    },
}


class Shop:
    """An output folder with three pushed versions, a, b and c."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.out, self.serving, self._capsys = folder / "out", folder / "out" / "serving", capsys
        self.config = folder / "shop.yaml"
        self.config.write_text(yaml.safe_dump(SETTINGS["ranking"]))
        self.names = []
        for number, word in enumerate("abc", 1):
            model = folder / word
            model.mkdir()
            (model / "saved_model.pb").write_text(word)
            about = Manifest(
                digest=word,
                source=f"{model}/Format-Serving",
                run_id=f"run-{word}",
                spans=(number, number + 1),
                metrics={"auc": 0.7 + number / 100},
                forced="a holiday" if word == "b" else "",
            )
            known_model(self.out, model)
            self.names.append(push(model, self.serving, about)[0].name)

    def call(self, *arguments: str | Path) -> tuple[int, str]:
        code = cli.main([str(one) for one in arguments])
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def rollback(self, *more: str) -> tuple[int, str]:
        base = ["rollback", "ranking", "--config", str(self.config), "--out", str(self.out)]
        return self.call(*base, *more)


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shop:
    return Shop(tmp_path, capsys)


def test_the_table_of_versions(shop: Shop):
    a, b, _ = shop.names
    assert shop.rollback("--reason", "it shouts")[0] == 0
    remove(shop.serving, all_versions(shop.serving)[0])
    code, said = shop.call("versions", shop.out)
    assert code == 0
    lines = said.splitlines()
    assert lines[0].split() == ["version", "pushed", "state", "metrics", "spans", "run"]
    states = [line[line.index("00:00") + 5 :].strip() for line in lines[1:]]
    assert [" ".join(state.split()) for state in states] == [
        "removed auc 0.710 1, 2 run-a",
        "kept, forced (a holiday) auc 0.720 2, 3 run-b",
        "rolled back (it shouts) auc 0.730 3, 4 run-c",
        f"newest, forced (a holiday), as {b} auc 0.720 2, 3 run-b",
    ]
    assert [line.split()[0] for line in lines[1:3]] == [a, b]
    assert shop.call("versions", shop.serving) == (0, said)
    assert shop.call("versions", "--config", shop.config, "--out", shop.out) == (0, said)


def test_versions_for_machines(shop: Shop):
    shop.rollback()
    code, said = shop.call("versions", shop.serving, "--json")
    found = json.loads(said)
    assert code == 0
    assert [one["status"] for one in found] == ["kept", "kept", "rolled back", "newest"]
    assert found[0]["spans"] == [1, 2]
    assert found[0]["metrics"] == {"auc": 0.71}
    assert [one["forced"] for one in found] == ["", "a holiday", "", "a holiday"]
    assert found[2]["rolled_back"]["reason"] == "no reason was given"
    assert found[3]["path"] == str(shop.serving / found[3]["version"])


def test_no_versions_yet(shop: Shop, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert shop.call("versions", tmp_path / "empty") == (0, "Nothing was pushed yet.\n")
    assert shop.call("versions", tmp_path / "empty", "--json") == (0, "[]\n")


def test_a_version_that_something_else_pushed(shop: Shop, tmp_path: Path):
    (tmp_path / "s" / "7").mkdir(parents=True)
    code, said = shop.call("versions", tmp_path / "s")
    assert (code, said.splitlines()[1].split()) == (
        0,
        ["7", "?", "newest", "not", "pushed", "by", "BabelRank"],
    )


@pytest.mark.parametrize("task", SETTINGS)
def test_versions_reads_the_configuration_of_either_pipeline(shop: Shop, task: str):
    settings = {**SETTINGS[task], "push": {"directory": str(shop.serving)}}
    shop.config.write_text(yaml.safe_dump(settings))
    code, said = shop.call("versions", "--config", shop.config)
    assert (code, len(said.splitlines())) == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "versions: takes either DIR or --config FILE."),
        (["x", "--config", "y"], "versions: takes either DIR or --config FILE."),
        (["none"], "none: no such folder."),
        (["x", "--out", "y"], "--out: takes --config beside it; DIR alone says where to look."),
        (["--config", "none.yaml"], "none.yaml: cannot read the configuration file"),
    ],
)
def test_wrong_usage(shop: Shop, arguments: list[str], message: str):
    code, said = shop.call("versions", *arguments)
    assert code == 2
    assert message in said


def test_what_a_rollback_says(shop: Shop):
    a, b, c = shop.names
    code, said = shop.rollback("--to", a, "--reason", "  ")
    now = all_versions(shop.serving)[-1].name
    assert (code, said.splitlines()) == (
        0,
        [
            f"Version {now}, which is served, has the model of version {a}.",
            f"  rolled back: {b}, {c}; not pushed again, and no baseline any more",
            f"  no longer blessed: {shop.out.parent / 'b'}",
            f"  no longer blessed: {shop.out.parent / 'c'}",
        ],
    )
    assert shop.rollback("--to", a)[1].splitlines() == [said.splitlines()[0]]
    code, said = shop.rollback("--to", "5")
    assert code == 2
    assert "--to: " in said
    code, said = shop.rollback()
    assert code == 1
    assert "there is no version to go back to" in said


def test_what_a_cleaning_says(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def clean(config: Any, out: Path, dry_run: bool) -> dict[str, tuple[int, int]]:
        calls.append((config.retention.versions, out, dry_run))
        return {"pushed versions": (2, 1_234_567), "reports of runs": (0, 0), "rest": (1, 12)}

    monkeypatch.setattr(retention, "clean", clean)
    base = ["clean", "ranking", "--config", str(shop.config), "--out", str(shop.out)]
    assert shop.call(*base, "--set", "retention.versions=2") == (
        0,
        f"{shop.out}: freed 1.2 MB.\n  2 pushed versions: 1.2 MB\n  1 rest: 12 bytes\n",
    )
    assert shop.call(*base, "--dry-run")[1].startswith(f"{shop.out}: would free 1.2 MB.\n")
    assert calls == [(2, shop.out, False), (5, shop.out, True)]
    monkeypatch.setattr(retention, "clean", lambda *_: {"rest": (0, 0)})
    assert shop.call(*base) == (0, f"{shop.out}: nothing to remove.\n")
    code, said = shop.call(*base[:-1], str(shop.out / "none"))
    assert code == 2
    assert "none: no such folder; takes the output folder of runs." in said


@pytest.mark.parametrize("command", ["versions", "rollback", "clean"])
def test_no_gate_among_the_exit_codes(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    said = capsys.readouterr().out
    assert "  2  wrong usage" in said
    assert "the gate refused" not in said
