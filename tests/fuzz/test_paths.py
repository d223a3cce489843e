"""Names of files and folders, as configured and as found."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from babelrank.components.errors import BabelRankError, ConfigError, InputError
from babelrank.components.ingest.config import SpansConfig
from babelrank.components.ingest.files import open_input
from babelrank.components.ingest.spans import fingerprint_of, resolve


def found(folder: Path, pattern: str) -> list[str]:
    files = resolve(str(folder / pattern), SpansConfig()).files
    return [os.path.relpath(one.path, folder) for one in files]


def put(folder: Path, *names: str | bytes) -> None:
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(b"x")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    put(tmp_path, "a.csv")
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(InputError, match=r"b\.csv: a folder, pipe, socket or device; takes a file"):
        found(tmp_path, "*.csv")
    with pytest.raises(InputError, match=r"b\.csv: a folder, pipe, socket or device"):
        found(tmp_path, "b.csv")


def test_a_device_is_refused_whatever_it_is_called(tmp_path: Path):
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    assert stat.S_ISCHR((tmp_path / "a.csv").stat().st_mode)
    with pytest.raises(InputError, match=r"a\.csv: a folder, pipe, socket or device"):
        found(tmp_path, "*.csv")


def test_a_folder_is_no_file(tmp_path: Path):
    put(tmp_path, "a.csv", "b.csv/c")
    assert found(tmp_path, "*.csv") == ["a.csv"]
    with pytest.raises(InputError, match=r"b\.csv: a folder"):
        found(tmp_path, "b.csv")


def test_links_to_files_are_read_and_dangling_ones_are_no_files(tmp_path: Path):
    put(tmp_path, "elsewhere/a")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "data" / "b.csv").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path / "data", "*.csv") == ["a.csv"]


def test_a_loop_of_links_ends(tmp_path: Path):
    put(tmp_path, "data/a.csv")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    assert found(tmp_path, "**/*.csv") == ["data/a.csv"]


def test_a_name_that_is_not_utf8(tmp_path: Path):
    put(tmp_path, b"a\xff.csv")
    with pytest.raises(InputError, match=r"a\\udcff\.csv': the file's name is not UTF-8"):
        found(tmp_path, "*.csv")


def test_hidden_files_are_not_looked_at(tmp_path: Path):
    put(tmp_path, "a.csv", b".b\xff.csv", b"_c\xff.csv")
    os.mkfifo(tmp_path / "_d.csv")
    assert found(tmp_path, "*.csv") == ["a.csv"]
    with pytest.raises(InputError, match=r"_d\.csv: a folder, pipe"):
        found(tmp_path, "_d*.csv")


def test_joined_files_are_looked_at(tmp_path: Path):
    put(tmp_path, b"a\xff.csv")
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(InputError, match=r"b\.csv: a folder, pipe"):
        fingerprint_of(str(tmp_path / "b.csv"))
    with pytest.raises(InputError, match="the file's name is not UTF-8"):
        fingerprint_of(str(tmp_path / "a*.csv"))


def test_odd_names(tmp_path: Path):
    names = ["a b.csv", "a\nb.csv", "-rf.csv", "$(id).csv", "\N{GRINNING FACE}.csv", "'\".csv"]
    put(tmp_path, *names)
    assert sorted(found(tmp_path, "*.csv")) == sorted(names)


@pytest.mark.parametrize("pattern", ["{SPAN:99999999999}.csv", "[[.csv", "(.csv", "a\\"])
def test_odd_patterns(tmp_path: Path, pattern: str):
    put(tmp_path, "1.csv")
    with pytest.raises(BabelRankError, match=r"takes a glob|no file matches"):
        found(tmp_path, pattern)


def test_a_range_the_wrong_way_round(tmp_path: Path):
    put(tmp_path, "a.csv")
    with pytest.raises(ConfigError, match=r"\[z-a\]\.csv: takes a glob: bad character range"):
        found(tmp_path, "[z-a].csv")


def test_spans_are_numbers_that_the_metadata_store_holds(tmp_path: Path):
    put(tmp_path, "day=1.csv", "day=\u0663.csv")  # an Arabic 3, which int() would take
    assert found(tmp_path, "day={SPAN}.csv") == ["day=1.csv"]
    put(tmp_path, f"day={'9' * 200}.csv")
    with pytest.raises(InputError, match="is too large for a span or version"):
        found(tmp_path, "day={SPAN}.csv")
    put(tmp_path, f"v/2/{'9' * 19}.csv")
    with pytest.raises(InputError, match="is too large for a span or version"):
        found(tmp_path, "v/{SPAN}/{VERSION}.csv")


def test_a_date_that_is_none_names_its_file(tmp_path: Path):
    put(tmp_path, "2024-02-30.csv")
    with pytest.raises(InputError, match=r"2024-02-30\.csv: 2024-02-30 in a file name is no date"):
        found(tmp_path, "{YYYY}-{MM}-{DD}.csv")


@pytest.mark.parametrize("name", ["a\0b", "/dev/null/x", "x" * 5000])
def test_paths_that_cannot_be(name: str):
    with pytest.raises(InputError), open_input(name):
        pass
