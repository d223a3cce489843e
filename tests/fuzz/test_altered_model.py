"""A pushed version that was altered, and what lies beside a model with hostile content."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import ModelError
from babelrank.components.serving import model_folder
from babelrank.components.serving.manifest import MANIFEST, WARMUP, Manifest, verify
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowsDescription
from babelrank.components.serving.versions import push, versions

FLIPS = 300


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    for name in ("saved_model.pb", "variables/variables.index", "assets/words", model_folder.ROWS):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(200))
    warmup = tmp_path / "warmup"
    warmup.write_bytes(b"requests")
    return push(folder, tmp_path / "serving", warmup=warmup)[0]


def files(version: Path) -> list[Path]:
    return sorted(path for path in version.rglob("*") if path.is_file())


def test_any_bit_that_is_turned_is_found(version: Path):
    chance = random.Random(0)
    for _ in range(FLIPS):
        path = chance.choice([one for one in files(version) if one != version / MANIFEST])
        whole = path.read_bytes()
        at = chance.randrange(8 * len(whole))
        turned = bytearray(whole)
        turned[at // 8] ^= 1 << at % 8
        path.write_bytes(turned)
        with pytest.raises(ModelError, match="was altered after its push"):
            verify(version)
        path.write_bytes(whole)
    verify(version)


def test_a_manifest_with_a_turned_bit_seals_nothing_else(version: Path):
    chance = random.Random(0)
    path = version / MANIFEST
    whole, sealed = path.read_bytes(), verify(version)
    for _ in range(FLIPS):
        at = chance.randrange(8 * len(whole))
        turned = bytearray(whole)
        turned[at // 8] ^= 1 << at % 8
        path.write_bytes(turned)
        try:
            found = verify(version)
        except ModelError:
            continue
        assert (found.digest, found.warmup) == (sealed.digest, sealed.warmup)


def swapped(version: Path) -> None:
    first, second = version / "assets" / "words", version / "variables" / "variables.index"
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)


def with_code(version: Path) -> None:
    (version / "assets.extra" / "__init__.py").write_text("import os")


def linked(version: Path) -> None:
    other = version.parent / "other"
    other.write_bytes(b"other weights")
    (version / "variables" / "variables.index").unlink()
    (version / "variables" / "variables.index").symlink_to(other)


def linked_folder(version: Path) -> None:
    (version / "variables").rename(version.parent / "moved")
    (version / "variables").symlink_to(version.parent / "moved")


def piped(version: Path) -> None:
    (version / "saved_model.pb").unlink()
    os.mkfifo(version / "saved_model.pb")


def emptied(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"")


def of_another(version: Path) -> None:
    (version / MANIFEST).write_text(json.dumps({"digest": "0" * 64}))


@pytest.mark.parametrize(
    "alter", [swapped, with_code, linked, linked_folder, piped, emptied, of_another]
)
def test_altered_versions_are_refused(version: Path, alter: Callable[[Path], None]):
    alter(version)
    with pytest.raises(ModelError, match="was altered after its push"):
        verify(version)


def test_a_link_to_the_same_content_is_the_same_model(version: Path):
    path = version / "assets" / "words"
    path.rename(version.parent / "words")
    path.symlink_to(version.parent / "words")
    assert verify(version) == Manifest.of(version)


def test_the_seal_is_no_signature(version: Path):
    """Who can write the manifest can seal anything: SECURITY.md says so."""
    from babelrank.components.serving.manifest import digest

    (version / "saved_model.pb").write_bytes(b"another model")
    manifest = json.loads((version / MANIFEST).read_text())
    (version / MANIFEST).write_text(json.dumps(manifest | {"digest": digest(version)}))
    assert verify(version).digest == digest(version)


def test_a_file_whose_name_is_not_utf8(version: Path):
    Path(os.fsdecode(os.fsencode(version) + b"/assets/\xff")).write_text("x")
    with pytest.raises(ModelError, match="was altered after its push"):
        verify(version)


MANIFESTS = ["", "{", "9" * 5000, "\0", "{}", '{"digest": ["a"], "warmup": {}}', '{"spans": [1]}']
MANIFESTS += ['{"digest": "x", "spans": 7}', '{"digest": "x", "metrics": [1]}']
MANIFESTS += ["[]", "5", '"x"', "null", "[" * 100_000, '{"digest": 5}']
MANIFESTS += ['{"digest": null}']


@pytest.mark.parametrize("text", MANIFESTS)
def test_hostile_manifests(version: Path, text: str):
    (version / MANIFEST).write_text(text)
    with pytest.raises(ModelError):
        verify(version)


def test_a_folder_for_warm_up_requests(version: Path):
    (version / WARMUP).unlink()
    (version / WARMUP).mkdir()
    with pytest.raises(ModelError, match="was altered after its push"):
        verify(version)


def test_versions_are_numbers_that_servers_know(version: Path):
    folder = version.parent
    for name in ("²", "٣", "９", "9" * 200, "-1", "1.5", "0x1", " 7"):
        (folder / name).mkdir()
        (folder / name / "saved_model.pb").write_text("x")
    (folder / "4").write_text("no folder")
    assert versions(folder) == [version]
    assert model_folder.newest(folder) == version


HOSTILE: dict[str, Any] = {
    "list": "[]",
    "number": "5",
    "text": '"task"',
    "null": "null",
    "empty": "",
    "deep": "[" * 100_000,
    "other keys": '{"columns": [{"nonsense": 1}], "nonsense": 2}',
    "no keys": "{}",
    "columns of another kind": '{"task": "ranking", "columns": 5}',
    "not UTF-8": b"\xff",
    "surrogate": '{"task": "\\ud800"}',
}


CASES = [pytest.param(content, id=name) for name, content in HOSTILE.items()]


@pytest.mark.parametrize("content", CASES)
@pytest.mark.parametrize("kind", [RowsDescription, LinesDescription])
def test_hostile_descriptions(tmp_path: Path, kind: Any, content: str | bytes):
    path = tmp_path / (model_folder.ROWS if kind is RowsDescription else model_folder.LINES)
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=str(tmp_path)):
        kind.load(tmp_path)


@pytest.mark.parametrize("content", [one for one in CASES if one.id != "columns of another kind"])
def test_hostile_descriptions_have_no_task(tmp_path: Path, content: str | bytes):
    path = tmp_path / model_folder.ROWS
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=str(tmp_path)):
        model_folder.task_of(tmp_path)
