"""The folder that a model server watches: pushed versions, and what is known about them.

A version appears there complete or not at all: it is copied under a temporary name, synced
to disk and renamed. Versions only rise. Pushing the newest version again changes nothing.

Each version has a manifest in its `assets.extra`. What is to outlast a version stands in the
ledger, a file beside the versions: which models were rolled back and never come back by
themselves, and what was in versions that were removed. Servers ignore names that are no numbers.

Imports no TFX.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babelrank.components import durable
from babelrank.components.errors import ModelError
from babelrank.components.serving.manifest import MANIFEST, WARMUP, Manifest, digest, sha256
from babelrank.components.serving.model_folder import is_version

LEDGER = "babelrank.json"
_TEMPORARY = ".pushing-"


def push(
    model: Path, destination: Path, about: Manifest | None = None, warmup: Path | None = None
) -> tuple[Path, bool]:
    """Pushes a model, unless it is the newest version already.

    An older version with the same content does not count: servers serve the newest.

    Args:
        model: Folder of the SavedModel.
        destination: Folder that holds one numbered folder for each version.
        about: What the manifest says, but for the time; its digest is that of the model. None:
            digest and source.
        warmup: File of requests that a server replays before it serves the version.

    Returns:
        Folder of the version that holds the model, and whether it is new.

    Raises:
        OSError: The destination cannot be written; nothing is left behind there.
    """
    destination.mkdir(parents=True, exist_ok=True)
    about = about or Manifest(digest=digest(model), source=str(model))
    remove_leftovers(destination)
    pushed = versions(destination)
    last = Manifest.of(pushed[-1]) if pushed else None
    if last is not None and last.digest == about.digest:
        return pushed[-1], False
    newest = int(pushed[-1].name) if pushed else 0
    final = destination / str(max(int(time.time()), newest + 1))
    temporary = destination / f"{_TEMPORARY}{final.name}-{os.getpid()}"
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        shutil.copytree(model, temporary)
        manifest = temporary / MANIFEST
        manifest.parent.mkdir(exist_ok=True)
        if warmup is not None:
            shutil.copyfile(warmup, temporary / WARMUP)
        added = temporary / WARMUP
        told = {"pushed": now, "warmup": sha256(added) if added.exists() else ""}
        manifest.write_text(json.dumps(dataclasses.asdict(about) | told, indent=1))
        durable.sync_tree(temporary)
        temporary.rename(final)
        durable.sync(destination)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final, True


def versions(destination: Path) -> list[Path]:
    """The pushed versions, oldest first."""
    found = [p for p in destination.glob("*") if is_version(p)]
    return sorted(found, key=lambda path: int(path.name))


def leftovers(destination: Path) -> list[Path]:
    """Folders of pushes that were killed."""
    return sorted(destination.glob(f"{_TEMPORARY}*"))


def remove_leftovers(destination: Path) -> None:
    """Removes what pushes that were killed left."""
    for leftover in leftovers(destination):
        shutil.rmtree(leftover)


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """A model that was taken out of service.

    Attributes:
        version: The newest version that it was.
        reason: Why, in the words of who did it.
        when: ISO 8601.
    """

    version: str
    reason: str
    when: str


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What outlasts the versions.

    Attributes:
        rolled_back: By digest, the models that were taken out of service.
        removed: By number, the manifests of versions that were removed.
        unfinished: The version that a rollback goes back to, while it is under way; else empty.
        newest: The newest version when that rollback began; empty without one.
    """

    rolled_back: Mapping[str, RolledBack] = field(default_factory=dict)
    removed: Mapping[str, Manifest] = field(default_factory=dict)
    unfinished: str = ""
    newest: str = ""

    @classmethod
    def load(cls, destination: Path) -> Ledger:
        """The ledger of a folder of versions.

        Raises:
            ModelError: It cannot be read: what was rolled back would be forgotten.
        """
        path = destination / LEDGER
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            bad = {key: RolledBack(**value) for key, value in plain["rolled_back"].items()}
            gone = {key: Manifest.from_dict(value) for key, value in plain["removed"].items()}
            return cls(
                rolled_back=bad,
                removed=gone,
                unfinished=plain["unfinished"],
                newest=plain.get("newest", ""),
            )
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path}: cannot be read ({error!r}); it says which models were rolled back. "
                f"Restore it, or remove it if no rollback has to be remembered."
            ) from error

    def save(self, destination: Path) -> None:
        """Writes it, complete or not at all."""
        path = destination / LEDGER
        durable.write_text(path, json.dumps(dataclasses.asdict(self), indent=1))


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version that was pushed.

    Attributes:
        name: Its number.
        path: Its folder; None: it was removed.
        manifest: What is known about it; None: something else pushed it.
        rolled_back: Set when its model was taken out of service.
    """

    name: str
    path: Path | None
    manifest: Manifest | None
    rolled_back: RolledBack | None = None

    def digest(self) -> str:
        """Digest of its model, computed where no manifest tells it."""
        if self.manifest is not None:
            return self.manifest.digest
        return digest(self.path) if self.path is not None else ""


def all_versions(destination: Path) -> list[Version]:
    """What was ever pushed, removed versions included, oldest first.

    Raises:
        ModelError: The ledger cannot be read.
    """
    ledger = Ledger.load(destination)
    there = {path.name: (path, Manifest.of(path)) for path in versions(destination)}
    gone = {name: (None, manifest) for name, manifest in ledger.removed.items()}
    found = []
    for name, (path, manifest) in sorted({**gone, **there}.items(), key=lambda one: int(one[0])):
        one = Version(name=name, path=path, manifest=manifest)
        bad = ledger.rolled_back.get(one.digest()) if ledger.rolled_back else None
        found.append(dataclasses.replace(one, rolled_back=bad))
    return found


def unfinished(destination: Path) -> str:
    """The version that a rollback goes back to which did not come to its end; empty: there is none.

    One that was followed by a push is none any more: what was pushed since is to be served.

    Raises:
        ModelError: The ledger cannot be read.
    """
    ledger = Ledger.load(destination)
    since = [
        one
        for one in all_versions(destination)
        if int(one.name) > int(ledger.newest or 0)
        and not (one.manifest and one.manifest.copy_of == ledger.unfinished)
    ]
    return "" if since and ledger.newest else ledger.unfinished


def remove(destination: Path, version: Version) -> None:
    """Removes a version; the ledger keeps its manifest.

    Raises:
        ModelError: It is the newest one, which is being served.
    """
    there = versions(destination)
    if version.path is None or version.path == there[-1]:
        raise ModelError(f"{destination}: version {version.name} is being served, or gone.")
    if version.manifest is not None:
        ledger = Ledger.load(destination)
        removed = {**ledger.removed, version.name: version.manifest}
        dataclasses.replace(ledger, removed=removed).save(destination)
    # Not in place: a server must not see half a model.
    going = version.path.with_name(f"{_TEMPORARY}{version.name}-gone")
    if going.exists():
        shutil.rmtree(going)
    version.path.rename(going)
    shutil.rmtree(going)
