"""Trainings that start from the model of an earlier run, by token, and once only.

The runs of each group share a folder; each fixture needs the one before it.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

NOTHING = "there is no {} model of other examples yet; the weights are random"


def clicks(path: Path, users: Sequence[int]) -> Path:
    drawn = random.Random(users[0])
    lines = ["ts,user,item,price,clicked"]
    for second in range(3000):
        user, item = drawn.choice(users), drawn.randrange(20)
        clicked = int(drawn.random() < (0.8 if user % 3 == 0 else 0.2))
        lines.append(f"{1_600_000_000 + second},u{user},i{item},{drawn.random():.3f},{clicked}")
    path.write_text("\n".join(lines) + "\n")
    return path


def numbers(path: Path, first: int) -> Path:
    english = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    german = ["null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"]
    lines = []
    for number in range(first, first + 400):
        digits = [int(digit) for digit in str(number)]
        lines.append("\t".join(" ".join(names[d] for d in digits) for names in (english, german)))
    path.write_text("\n".join(lines) + "\n")
    return path


def sentences(out: Path) -> list[str]:
    """What the newest training says about its start."""
    runs = (out / "artifacts" / "Trainer" / "model_run").glob("*/training.json")
    newest = max(runs, key=lambda path: int(path.parent.name))
    found: list[str] = json.loads(newest.read_text())["warm_start"]["sentences"]
    return found


@pytest.fixture(scope="module")
def ranking(command_line: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("clicks")
    old, new = clicks(folder / "a.csv", range(30)), clicks(folder / "b.csv", range(10, 50))
    return [command_line("warm_start.yaml", path, folder / "out", folder) for path in (old, new)]


def test_a_ranking_model_starts_from_the_last_blessed_one(ranking: Any) -> None:
    old, new = ranking
    first = old.run()
    assert first.code == 0, first
    assert sentences(old.out) == [NOTHING.format("blessed")]
    assert first.states["Trainer"] == "ran"

    again = old.run()
    assert again.code == 0, again
    assert again.states["Trainer"] == "cached"

    second = new.run()
    assert second.code == 0, second
    counts, remark = sentences(new.out)
    # Users 10 to 29 are in both; with them missing and unknown are kept.
    assert re.match(
        r"started from .*/Trainer/model/\d+/Format-Serving: "
        r"22 of 42 rows of user kept, 20 new, 10 dropped; "
        r"22 of 22 rows of item kept, 0 new, 0 dropped$",
        counts,
    )
    assert remark.startswith("dense features are scaled")

    repeated = new.run()
    assert repeated.code == 0, repeated
    assert repeated.states["Trainer"] == "cached"
    assert repeated.versions == second.versions


def test_a_ranking_model_starts_from_a_path(ranking: Any, tmp_path: Path) -> None:
    _, new = ranking
    missing = new.run(f"training.warm_start={tmp_path}/none")
    assert missing.code == 2, missing
    assert f"training.warm_start: {tmp_path}/none: there is no model there" in missing.stdout

    newest = max((new.out / "serving").iterdir())
    pushed = new.run(f"training.warm_start={new.out}/serving")
    assert pushed.code == 0, pushed
    assert sentences(new.out)[0].startswith(f"started from {newest}: 42 of 42 rows of user kept, ")


# Minutes: on the newer stack only, which has not the ten days.
@(pytest.mark.slow if sys.version_info < (3, 12) else pytest.mark.e2e)
def test_a_translation_model_starts_from_the_last_pushed_one(
    command_line: Any, tmp_path: Path
) -> None:
    paths = numbers(tmp_path / "a.tsv", 1000), numbers(tmp_path / "b.tsv", 5000)
    config = "warm_start_translation.yaml"
    old, new = (
        command_line(config, path, tmp_path / "out", tmp_path, pipeline="translation")
        for path in paths
    )
    first = old.run()
    assert first.code == 0, first
    assert sentences(old.out) == [NOTHING.format("pushed")]

    second = new.run()
    assert second.code == 0, second
    (counts,) = sentences(new.out)
    assert re.match(r"started from .*: \d+ of \d+ rows of subwords kept, \d+ new", counts)
    assert second.run["status"] == "pushed"

    repeated = new.run()
    assert repeated.code == 0, repeated
    assert repeated.states["Trainer"] == "cached"
