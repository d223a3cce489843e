"""Tests of files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from babelrank.components import durable


def test_text_replaces_what_was_there(tmp_path: Path):
    path = tmp_path / "deep" / "file.json"
    durable.write_text(path, "old")
    durable.write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_text(tmp_path: Path, monkeypatch, failing):
    path = tmp_path / "file.json"
    durable.write_text(path, "old")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="disk full"):
        durable.write_text(path, "new, but")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_that_cannot_force_folders(tmp_path: Path, monkeypatch):
    fsync = os.fsync

    def unknown_for_folders(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", unknown_for_folders)
    durable.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    monkeypatch.setattr(os, "fsync", lambda handle: unknown_for_folders(-1))
    with pytest.raises(OSError):
        durable.sync(tmp_path / "file")


def test_a_tree_is_forced_to_disk_whole(tmp_path: Path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: forced.append(os.fstat(handle).st_ino))
    durable.sync_tree(tmp_path)
    assert set(forced) == {p.stat().st_ino for p in (tmp_path, *tmp_path.rglob("*"))}
