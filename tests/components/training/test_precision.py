"""Which arithmetic `auto` stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelrank.components.training import precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512_bf16 sse", "bfloat16"), ("amx_bf16", "bfloat16"), ("fpu avx512f", "float32")],
)
def test_auto_follows_the_processor(
    flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "_CPUINFO", info)
    assert precision.resolve("auto") == expected


def test_without_cpuinfo_it_is_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "none")
    assert precision.resolve("auto") == "float32"


def test_what_is_asked_for_is_taken() -> None:
    assert precision.resolve("float32") == "float32"
    assert precision.resolve("bfloat16") == "bfloat16"
