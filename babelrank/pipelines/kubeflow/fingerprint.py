"""Tells whether the graph that an image makes is the graph that was compiled."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from typing import Any

from google.protobuf import json_format

from babelrank.components.errors import BabelRankError

_PROGRAMS = ("babelrank", "tfx")


def fingerprint(ir: Any) -> str:
    """SHA-256 of TFX's intermediate representation of a pipeline, the same on every stack."""
    text = json_format.MessageToJson(ir, sort_keys=True, indent=0)
    return hashlib.sha256(text.encode()).hexdigest()


def made_by() -> str:
    """Versions of the programs that shape a graph, such as `babelrank 0.1.0, tfx 1.21.0`."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PROGRAMS)


def check(ir: Any, wanted: str, compiled_by: str) -> None:
    """Compares the graph that is made here with the one that was compiled.

    Args:
        ir: The graph that is made here.
        wanted: Fingerprint of the one that was compiled.
        compiled_by: What `made_by` said then.

    Raises:
        BabelRankError: They differ.
    """
    here = fingerprint(ir)
    if here != wanted:
        raise BabelRankError(
            f"This image makes another graph ({here[:12]}) than the one that was compiled "
            f"({wanted[:12]}). {older(compiled_by)}"
        )


def older(compiled_by: str) -> str:
    """Which side is behind, and what to do about it."""
    versions = f"Compiled by {compiled_by}; the image has {made_by()}. "
    return versions + _remedy(compiled_by)


def _remedy(compiled_by: str) -> str:
    here, there = _version(made_by()), _version(compiled_by)
    if here < there:
        return "The image is older: build it anew and submit again."
    if here > there:
        return "What was compiled is older: compile and submit again."
    return (
        "BabelRank's version is the same, so one of the two was made from changed sources: build "
        "the image from the sources that compile, then compile and submit again."
    )


def _version(made: str) -> tuple[int, ...]:
    """BabelRank's version out of what `made_by` says."""
    match = re.match(r"babelrank ([\d.]+)", made)
    return tuple(map(int, match[1].strip(".").split("."))) if match else ()
