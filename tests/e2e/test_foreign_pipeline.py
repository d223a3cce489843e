"""Our ExampleGen in somebody else's pipeline of stock TFX components, as the README shows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "foreign_pipeline.py"


@pytest.mark.e2e
def test_it_runs(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    ratings = data_folder("movielens_latest_small") / "ratings.csv.gz"
    out = tmp_path / "out"
    command = [sys.executable, str(EXAMPLE), str(ratings), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (vocabulary,) = out.glob("Transform/transform_graph/*/transform_fn/assets/*vocab*")
    users = vocabulary.read_text().split()
    assert 450 < len(users) < 600  # train's share of 671
    for split in ("train", "eval"):
        assert list(out.glob(f"Transform/transformed_examples/*/Split-{split}/*.gz"))


def test_it_has_at_most_thirty_lines() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 30


def test_the_readme_shows_it_as_it_is() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    if EXAMPLE.name in readme:
        assert EXAMPLE.read_text(encoding="utf-8") in readme
