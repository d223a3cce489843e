"""Tests of finding a model and of what its folder says about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelrank.components.errors import ModelError
from babelrank.components.serving import model_folder
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowsDescription

LINES = LinesDescription(source_language="en", target_language="pt_BR", beam_size=4)


def test_the_newest_version(tmp_path: Path):
    for name in ("9", "10", ".pushing-11-1", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")
    assert model_folder.newest(tmp_path) == tmp_path / "10"
    (tmp_path / "saved_model.pb").touch()
    assert model_folder.newest(tmp_path) == tmp_path


def test_no_version(tmp_path: Path):
    with pytest.raises(ModelError, match="no model here. Give the folder of a pushed version"):
        model_folder.newest(tmp_path / "none")


def test_lines_round_trip(tmp_path: Path):
    LINES.save(str(tmp_path))
    assert LinesDescription.load(tmp_path) == LINES
    assert model_folder.task_of(tmp_path) == "translation"


def test_task_of_rows(tmp_path: Path):
    RowsDescription(task="ranking", signature="s", output="o", columns=()).save(str(tmp_path))
    assert model_folder.task_of(tmp_path) == "ranking"
    with pytest.raises(ModelError, match="no model that BabelRank exported"):
        LinesDescription.load(tmp_path)


def test_task_of_a_model_of_somebody_else(tmp_path: Path):
    with pytest.raises(ModelError, match="no model that BabelRank exported.*Give the folder"):
        model_folder.task_of(tmp_path)
