"""Tests of the demo's parallel text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import InputError
from babelrank.pipelines import emoji_names
from babelrank.pipelines.config import TranslationConfig


def test_names():
    pairs = emoji_names.names()
    table = dict(pairs)
    assert len(pairs) == len(table) > 3500
    assert table["blowfish"] == "pez globo"
    assert table["woman surfing light skin tone"] == "mujer haciendo surf tono de piel claro"
    assert table["shark"] == "tiburón"
    for pair in pairs:
        for side in pair:
            assert side.strip() == side != ""
            assert not set(side) & set("_\t\n")
            assert not side.startswith(":")
            assert not side.endswith(":")


def test_the_file_is_written_once(tmp_path: Path):
    folder = tmp_path / "new" / "folder"
    assert emoji_names.write(folder) == len(emoji_names.names())
    path = folder / emoji_names.FILE_NAME
    rows = path.read_text(encoding="utf-8").split("\n")
    assert rows[-1] == ""
    assert [tuple(row.split("\t")) for row in rows[:-1]] == emoji_names.names()
    os.utime(path, (1, 1))
    emoji_names.write(folder)
    assert path.stat().st_mtime == 1  # a new date would be new data
    path.write_text("changed")
    emoji_names.write(folder)
    assert path.read_text(encoding="utf-8").startswith(rows[0])


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"names\.tsv: cannot be written"):
        emoji_names.write(tmp_path / "file" / "folder")


def test_the_configuration_loads(tmp_path: Path):
    plain = {**emoji_names.configuration(tmp_path), "evaluation": {"min_bleu": 1}}
    config = from_dict(TranslationConfig, plain)
    assert config.data.path == str(tmp_path / emoji_names.FILE_NAME)
