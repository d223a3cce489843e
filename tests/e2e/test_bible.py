"""Long sentences, columns by name, and pairs that are no translations of each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

VERSES = 31_084


@pytest.mark.slow
def test_verses_to_a_pushed_model(
    data_folder: Callable[[str], Path], command_line: Any, translate: Any, tmp_path: Path
) -> None:
    path = data_folder("bible_eng_spa") / "verses.en_kjv.es_rv1909.tsv.gz"
    short = ("model.preset=tiny", "training.steps=600", "evaluation.min_bleu=0.5")
    outcome = command_line(
        "bible.yaml", path, tmp_path / "out", path.parent, short, "translation"
    ).run()
    assert outcome.code == 0, outcome
    run = outcome.run
    assert run["rows"]["read"] == VERSES
    assert run["rows"]["used"] == sum(run["splits"].values()) > 0.99 * VERSES - 200
    (answer,) = translate("predict", run["pushed_model"], text="And God said.\n").splitlines()
    assert answer
