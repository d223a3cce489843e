"""Ten days of clicks, each retrained on as it comes, with all that can go wrong.

The days drift. Day 3 comes late, day 5 is empty, day 7 is poisoned, the run on day 9 is killed in
its training, and its model is rolled back afterwards.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ml_metadata import MetadataStore

from babelrank.components.lineage import Lineage
from babelrank.components.serving.versions import all_versions
from babelrank.pipelines import cli
from babelrank.pipelines.database import connection
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.simulator import FILE_NAME, SimulatorConfig, simulate

# Minutes: `make test` has them on the older stack, `make test-all` on both.
pytestmark = [pytest.mark.e2e, *([pytest.mark.slow] if sys.version_info >= (3, 12) else [])]

DAYS = 10
ROWS = 3000
REFUSED = 3
Call = Callable[..., tuple[int, str]]


class Shop:
    """A log that grows by the day, and its pipeline."""

    def __init__(self, folder: Path) -> None:
        self.log, self.out, self._days = folder / "log", folder / "out", folder / "simulated"
        simulate(
            SimulatorConfig(
                users=40,
                items=30,
                rows_per_span=ROWS,
                spans=DAYS,
                drift=0.1,
                taste=0.0,
                malformed_fraction=0.0,
            ),
            self._days,
        )
        self.config: dict[str, Any] = {
            "name": "shop",
            "data": {
                "path": f"{self.log}/day={{SPAN}}/{FILE_NAME}",
                "label": "clicked",
                "timestamp": "ts",
                "categorical": ["item_id", "device", "position"],
                "dense": ["price"],
            },
            "splits": {"by": "time"},
            "spans": {"window": 3},
            "model": {"preset": "tiny"},
            "training": {
                "epochs": 4,
                "batch_size": 64,
                "checkpoint_interval": 20,
                "optimizer": {"learning_rate": 0.01},
            },
            "evaluation": {"min_auc": 0.55, "max_auc_drop": 0.05},
            "retention": {"versions": 3, "runs": 4, "spans": 1},
        }

    def arrives(
        self, day: int, label: Callable[[str], str] | None = None, rows: int = ROWS
    ) -> None:
        """A day comes in, perhaps with other labels, or fewer rows."""
        name = f"span-{day}/{FILE_NAME}"
        path = self.log / f"day={day}" / FILE_NAME
        path.parent.mkdir(parents=True)
        with gzip.open(self._days / name, "rt", newline="") as file:
            header, *records = csv.reader(file)
        if label is not None:
            records = [[*record[:-1], label(record[-1])] for record in records]
        with gzip.open(path, "wt", newline="") as file:
            csv.writer(file).writerows([header, *records[:rows]])

    def arguments(self, command: str, *more: str) -> list[str]:
        path = self.out.parent / "shop.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return [command, "ranking", "--config", str(path), "--out", str(self.out), *more]

    def run(self) -> dict[str, Any]:
        """run.json of the last run."""
        found: dict[str, Any] = json.loads((self.out / "run.json").read_text())
        return found

    def versions(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Name, spans and state of what was pushed."""
        return [
            (
                one.name,
                one.manifest.spans if one.manifest else (),
                "rolled back" if one.rolled_back else "kept" if one.path else "removed",
            )
            for one in all_versions(self.out / "serving")
        ]

    def lineage(self) -> dict[tuple[int, ...], dict[str, Any]]:
        """By the spans of its run: from which model each one started, and what it was judged by."""
        store = MetadataStore(connection(Layout(self.out)))
        history, found = Lineage(store), {}
        models = store.get_artifacts_by_type("Model")
        blessings = store.get_artifacts_by_type("ModelBlessing")
        spans = {one.id: _spans(store, history.examples(one.id)) for one in models}
        for model in models:
            (base,) = history.inputs(model.id, "base_model") or {0}
            judged = [
                one.custom_properties
                for one in blessings
                if one.custom_properties["current_model_id"].int_value == model.id
            ]
            found[spans[model.id]] = {
                "base": spans.get(base),
                "baselines": [spans.get(one["baseline_model_id"].int_value) for one in judged],
                "blessed": [one["blessed"].int_value for one in judged],
            }
        return found


def _spans(store: MetadataStore, examples: set[int]) -> tuple[int, ...]:
    texts = [
        one.custom_properties["spans"].string_value
        for one in store.get_artifacts_by_id(sorted(examples))
    ]
    (spans,) = [tuple(json.loads(text)) for text in texts if text]
    return spans


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    old = signal.getsignal(signal.SIGTERM)
    yield Shop(tmp_path)
    signal.signal(signal.SIGTERM, old)


@pytest.fixture
def call(shop: Shop, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process, so that TFX is imported once; its exit code and output."""

    def run(command: str, *more: str) -> tuple[int, str]:
        code = cli.main(shop.arguments(command, *more))
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


def test_ten_days(shop: Shop, call: Call) -> None:
    _the_first_days(shop, call)
    _a_late_day(shop, call)
    _an_empty_day(shop, call)
    _a_poisoned_day(shop, call)
    _a_crash(shop, call)
    _a_rollback(shop, call)
    _the_last_day(shop, call)
    _a_cleaning(shop, call)


def _the_first_days(shop: Shop, call: Call) -> None:
    for day in (1, 2):
        shop.arrives(day)
        code, said = call("retrain")
        assert (code, shop.run()["status"]) == (0, "pushed"), said
    code, said = call("retrain")
    assert (code, said.splitlines()[0]) == (
        0,
        f"Nothing new: the window of 1, 2 was pushed by run {shop.run()['run_id']}.",
    )


def _a_late_day(shop: Shop, call: Call) -> None:
    shop.arrives(4)
    code, said = call("retrain")
    assert code == 1
    assert "missing in the window of 1 to 4: 3. Wait for them" in said
    code, said = call("retrain", "--allow-missing")
    assert (code, shop.run()["spans"]) == (0, [1, 2, 4]), said
    shop.arrives(3)
    code, said = call("retrain")
    assert (code, shop.run()["spans"]) == (0, [2, 3, 4]), said
    assert "The window of 2, 3, 4 is new; before, it was the window of 1, 2, 4." in said


def _an_empty_day(shop: Shop, call: Call) -> None:
    shop.arrives(5, rows=0)
    code, said = call("retrain")
    assert (code, shop.run()["status"]) == (1, "failed")
    assert "Ingest: span 5, the newest one, has no rows" in said
    shop.arrives(6)
    code, said = call("retrain")
    assert (code, shop.run()["spans"]) == (0, [4, 5, 6]), said
    assert "Without any rows: span 5." in said


def _a_poisoned_day(shop: Shop, call: Call) -> None:
    shop.arrives(7, label={"0": "1", "1": "0"}.__getitem__)
    code, said = call("retrain")
    assert (code, shop.run()["status"]) == (REFUSED, "refused"), said
    assert "NO  auc is 0." in said
    assert "below evaluation.min_auc = 0.55" in said
    code, said = call("retrain")
    assert (code, "5, 6, 7 was refused by run" in said) == (0, True), said
    shop.config["spans"]["exclude"] = [7]
    shop.arrives(8)
    code, said = call("retrain")
    assert (code, shop.run()["spans"]) == (0, [5, 6, 8]), said


def _a_crash(shop: Shop, call: Call) -> None:
    shop.arrives(9)
    before = shop.run()
    killed = subprocess.Popen(
        [sys.executable, "-m", "babelrank.pipelines.cli", *shop.arguments("retrain")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.stderr is not None
    with killed.stderr as lines:
        reached = next((line for line in lines if line.startswith("eval at step")), None)
        killed.send_signal(signal.SIGKILL)
        killed.wait(60)
    assert reached is not None
    assert shop.run() == before
    code, said = call("retrain")
    assert (code, shop.run()["spans"]) == (0, [6, 8, 9]), said
    states = {step["name"]: step["state"] for step in shop.run()["steps"]}
    assert (states["Transform"], states["Trainer"]) == ("cached", "ran")
    (step,) = re.findall(r"training: resumed at step (\d+)", said)
    assert int(step) >= 20


def _a_rollback(shop: Shop, call: Call) -> None:
    *_, (good, _, _), (bad, _, _) = shop.versions()
    code, said = call("rollback", "--reason", "it shouts")
    assert code == 0, said
    assert f"is served, has the model of version {good}." in said
    assert f"rolled back: {bad}; not pushed again" in said
    # The same data again: the same model comes from the cache, and stays out.
    pushed = shop.versions()
    code, said = call("retrain", "--force")
    assert (code, shop.run()["status"]) == (REFUSED, "refused"), said
    assert "This very model was rolled back: it shouts." in said
    assert shop.versions() == pushed


def _the_last_day(shop: Shop, call: Call) -> None:
    shop.arrives(10)
    code, said = call("retrain", "--set", "push.enabled=false")
    assert (code, shop.run()["status"]) == (0, "blessed"), said
    assert "passed the gate; not pushed: push.enabled is false." in said
    code, said = call("retrain", "--force")
    assert (code, shop.run()["status"]) == (0, "pushed"), said
    states = {step["name"]: step["state"] for step in shop.run()["steps"]}
    assert states["Trainer"] == "cached"
    assert [(spans, state) for _, spans, state in shop.versions()] == [
        ((1,), "kept"),
        ((1, 2), "kept"),
        ((1, 2, 4), "kept"),
        ((2, 3, 4), "kept"),
        ((4, 5, 6), "kept"),
        ((5, 6, 8), "kept"),
        ((6, 8, 9), "rolled back"),
        ((5, 6, 8), "kept"),
        ((8, 9, 10), "kept"),
    ]
    found = shop.lineage()
    last = found.pop((8, 9, 10))
    # Judged when it was not to be pushed; never against itself.
    assert last["base"] == (5, 6, 8)
    assert set(last["baselines"]) == {(5, 6, 8)}
    assert last["blessed"][-1] == 1
    rolled_back = found.pop((6, 8, 9))
    assert rolled_back["base"] == (5, 6, 8)
    assert rolled_back["blessed"] == [0, 0]
    assert rolled_back["baselines"] == [(5, 6, 8), (5, 6, 8)]
    chain = [(1,), (1, 2), (1, 2, 4), (2, 3, 4), (4, 5, 6)]
    expected = {
        spans: {"base": base, "baselines": [base], "blessed": [1]}
        for base, spans in zip([None, *chain], [*chain, (5, 6, 8)], strict=True)
    }
    expected[(5, 6, 7)] = {"base": (4, 5, 6), "baselines": [(4, 5, 6)], "blessed": [0]}
    assert found == expected


def _a_cleaning(shop: Shop, call: Call) -> None:
    before = sorted(path for path in shop.out.rglob("*"))
    code, said = call("clean", "--dry-run")
    assert (code, "would free" in said) == (0, True), said
    assert sorted(path for path in shop.out.rglob("*")) == before
    code, said = call("clean")
    assert code == 0, said
    assert [(spans, state) for _, spans, state in shop.versions()][-3:] == [
        ((6, 8, 9), "rolled back"),
        ((5, 6, 8), "kept"),
        ((8, 9, 10), "kept"),
    ]
    # Three are kept, and the one that was rolled back does not count.
    assert [state for _, _, state in shop.versions()][:6] == ["removed"] * 5 + ["kept"]
    examples = shop.out / "artifacts" / "Ingest" / "examples"
    assert len(list(examples.iterdir())) == 1
    code, said = call("clean")
    assert "nothing to remove" in said
    # What is left is enough to go on with: nothing trains again, and the baseline is there.
    code, said = call("retrain", "--force")
    assert (code, shop.run()["status"]) == (0, "pushed"), said
    states = {step["name"]: step["state"] for step in shop.run()["steps"]}
    assert {states[name] for name in ("Ingest", "Transform", "Trainer")} == {"cached"}
    code, said = call("rollback")
    assert code == 0, said
    assert shop.versions()[-1][1] == (5, 6, 8)
