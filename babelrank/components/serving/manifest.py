"""What is known about a pushed version: its manifest, and the digest that seals its files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from babelrank.components.errors import ModelError

MANIFEST = "assets.extra/babelrank_push.json"
WARMUP = "assets.extra/tf_serving_warmup_requests"
"""Requests that TensorFlow Serving replays; the name is its own."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known about a version.

    Attributes:
        digest: Of the model; see `digest`.
        source: Folder that the model was copied from.
        pushed: When, ISO 8601.
        run_id: The run that pushed it; empty: none.
        spans: Spans that the run read.
        metrics: What the gate measured, by name.
        copy_of: The version whose content this is, after a rollback; empty: none.
        warmup: SHA-256 of the warm-up requests, which are no part of the model; empty: none.
        forced: Why it was pushed although the gate refused it; empty: the gate passed it.
    """

    digest: str
    source: str = ""
    pushed: str = ""
    run_id: str = ""
    spans: tuple[int, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    copy_of: str = ""
    warmup: str = ""
    forced: str = ""

    @classmethod
    def of(cls, version: Path) -> Manifest | None:
        """The manifest of a version; None: something else pushed it."""
        try:
            return cls.from_dict(json.loads((version / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Manifest:
        """The inverse of `dataclasses.asdict`; keys that a newer version knows are left out."""
        names = {one.name for one in dataclasses.fields(cls)}
        known = {key: value for key, value in plain.items() if key in names}
        for name in ("digest", "warmup"):
            if not isinstance(known.get(name, ""), str):
                raise TypeError(f"{name}: got {known[name]!r:.60}; takes text")
        return cls(**{**known, "spans": tuple(known.get("spans", ()))})


def digest(model: Path) -> str:
    """SHA-256 over the names and contents of a model's files.

    What a push adds is left out: its manifest and the warm-up requests.
    """
    whole = hashlib.sha256()
    for path in sorted(p for p in model.rglob("*") if p.is_file()):
        name = path.relative_to(model).as_posix()
        if name not in (MANIFEST, WARMUP):
            whole.update(f"{name}\t{sha256(path)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def verify(version: Path) -> Manifest:
    """The manifest of a version whose files are what was pushed.

    Raises:
        ModelError: It has no manifest, or a file was altered, added or removed since the push.
    """
    manifest = Manifest.of(version)
    if manifest is None:
        raise ModelError(
            f"{version}: {MANIFEST} is missing or unreadable: nothing says who pushed it."
        )
    warmup = version / WARMUP
    _compare(version, "the SHA-256 of its files", digest(version), manifest.digest)
    found = sha256(warmup) if warmup.is_file() else ""
    _compare(version, f"the SHA-256 of {WARMUP}", found, manifest.warmup)
    return manifest


def verify_if_sealed(version: Path) -> Manifest | None:
    """Refuses a pushed version that was altered; what nobody pushed has no seal to be broken.

    Returns:
        The manifest; None: nobody pushed it.

    Raises:
        ModelError: A file was altered, added or removed since the push.
    """
    return verify(version) if (version / MANIFEST).exists() else None


def _compare(version: Path, what: str, found: str, sealed: str) -> None:
    if found != sealed:
        was, should = (f"{one[:16]}…" if one else "that of no file" for one in (found, sealed))
        raise ModelError(
            f"{version}: was altered after its push: {what} is {was}, its manifest says {should}. "
            "Push it again, or roll back to another version."
        )


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
