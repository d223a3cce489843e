"""Tests of the measure of memory."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from babelrank.pipelines import memory
from babelrank.pipelines.memory import PeakMemory

MIB = 2**20


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "INTERVAL", 0.01)


def test_what_was_freed_again_counts() -> None:
    with PeakMemory() as before:
        pass
    with PeakMemory() as measured:
        held = b"x" * (200 * MIB)
        time.sleep(0.2)
        del held
    assert measured.peak_mib > before.peak_mib + 150


def test_children_count() -> None:
    with PeakMemory() as before:
        pass
    code = f"import time; held = b'x' * {200 * MIB}; time.sleep(1)"
    with PeakMemory() as measured:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert measured.peak_mib > before.peak_mib + 150


def test_an_error_goes_through() -> None:
    measured = PeakMemory()
    with pytest.raises(ValueError, match="no"), measured:
        raise ValueError("no")
    assert measured.peak_mib > 1
