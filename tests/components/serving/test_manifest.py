"""Tests of the seal on a pushed version."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelrank.components.errors import ModelError
from babelrank.components.serving.manifest import MANIFEST, WARMUP, digest, verify, verify_if_sealed
from babelrank.components.serving.versions import push


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text("graph")
    (folder / "variables" / "variables.index").write_text("weights")
    return folder


@pytest.fixture
def version(model: Path, tmp_path: Path) -> Path:
    warmup = tmp_path / "warmup"
    warmup.write_bytes(b"requests")
    return push(model, tmp_path / "serving", warmup=warmup)[0]


def test_what_was_pushed_is_verified(model: Path, version: Path):
    assert verify(version).digest == digest(model)
    assert (version / WARMUP).read_bytes() == b"requests"
    assert digest(version) == digest(model)  # warm-up requests do not make it another model


def _longer(version: Path) -> None:
    (version / "saved_model.pb").write_text("graph!")


def _more(version: Path) -> None:
    (version / "assets.extra" / "more").write_text("")


def _less(version: Path) -> None:
    (version / "variables" / "variables.index").unlink()


def _renamed(version: Path) -> None:
    (version / "variables" / "variables.index").rename(version / "variables" / "index")


def _other_warmup(version: Path) -> None:
    (version / WARMUP).write_bytes(b"other requests")


def _no_warmup(version: Path) -> None:
    (version / WARMUP).unlink()


_FILES = "the SHA-256 of its files is [0-9a-f]{16}…, its manifest says [0-9a-f]{16}…"
_WARMUP = "the SHA-256 of assets.extra/tf_serving_warmup_requests is"


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (_longer, _FILES),
        (_more, _FILES),
        (_less, _FILES),
        (_renamed, _FILES),
        (_other_warmup, f"{_WARMUP} [0-9a-f]{{16}}…, its manifest says [0-9a-f]{{16}}…"),
        (_no_warmup, f"{_WARMUP} that of no file, its manifest says"),
    ],
)
def test_what_was_altered_since_is_refused(version: Path, alter, said: str):
    alter(version)
    for refuse in (verify, verify_if_sealed):
        with pytest.raises(ModelError, match=f"was altered after its push: {said}"):
            refuse(version)


def test_warm_up_requests_that_nobody_pushed_are_refused(model: Path, tmp_path: Path):
    version = push(model, tmp_path / "cold")[0]
    (version / WARMUP).write_bytes(b"requests")

    with pytest.raises(ModelError, match="its manifest says that of no file"):
        verify(version)


def test_a_version_without_a_manifest_is_refused(version: Path):
    (version / MANIFEST).unlink()
    with pytest.raises(ModelError, match="nothing says who pushed it"):
        verify(version)
    verify_if_sealed(version)


def test_a_seal_that_cannot_be_read_is_broken(version: Path):
    (version / MANIFEST).write_text("{")
    with pytest.raises(ModelError, match="missing or unreadable"):
        verify_if_sealed(version)
