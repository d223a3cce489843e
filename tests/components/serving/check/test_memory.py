"""Tests of the peak memory of a process."""

from __future__ import annotations

import os
import subprocess
import sys

from babelrank.components.serving.check.memory import peak_mib


def test_of_another_and_of_none():
    assert abs(peak_mib(os.getpid()) - peak_mib()) < 50
    assert peak_mib(1 << 30) == 0


def test_what_the_parent_held_does_not_count():
    held = bytearray(400 << 20)
    held[::4096] = b"x" * len(held[::4096])
    code = "from babelrank.components.serving.check.memory import peak_mib; print(peak_mib())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_mib() > 400
    assert 1 < float(done.stdout) < 200
