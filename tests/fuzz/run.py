"""Fuzzes one target with atheris until the time is up: see `scripts/fuzz`.

Runs in an environment of its own, and is no test: `test_inputs.py` runs the same targets.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["babelrank", "polib", "yaml", "defusedxml", "gettext"]):
    import babelrank  # noqa: F401
    from tests.fuzz import seeds, targets


def _escaped(piece: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in piece)


def main(name: str, seconds: str, folder: str, prefix: str) -> None:
    """Ends the process with another code than 0 when the target raises, hangs or crashes.

    Args:
        name: The target.
        seconds: How long.
        folder: An empty folder for the inputs that are worth to be kept.
        prefix: How the names of files begin that hold an input which breaks the target.
    """
    corpus = Path(folder)
    found = seeds.SEEDS[name] if name in seeds.SEEDS else seeds.binary()[name]
    for number, seed in enumerate(found):
        (corpus / f"seed-{number}").write_bytes(seed)
    pieces = [f'"{_escaped(one)}"' for one in seeds.PIECES if len(one) < 60]
    dictionary = corpus / "pieces"
    dictionary.write_text("\n".join(pieces))
    limits = [f"-max_total_time={seconds}", "-timeout=60", "-max_len=4096"]
    limits.append(f"-artifact_prefix={prefix}")
    atheris.Setup([sys.argv[0], *limits, f"-dict={dictionary}", folder], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
