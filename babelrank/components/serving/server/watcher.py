"""Looks for new versions of a model and lets the newest good one answer.

A version that is refused leaves the one before in place. It is tried again when its files have
changed, and after some minutes in any case, since a full disk or a lost mount may have been the
reason.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from babelrank.components.errors import ModelError
from babelrank.components.serving.server.loaded import Loaded, load
from babelrank.components.serving.server.metrics import Metrics
from babelrank.components.serving.server.served import Served
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.versions import all_versions, versions

AGAIN_SECONDS = 300
"""After so long a version that was refused is tried again."""

_NONE = (
    "no model here. Give the folder of a pushed version, or the folder that holds the versions "
    "(`serving` in the output folder of a run); --wait waits for the first one."
)

log = logging.getLogger("babelrank.server")


class Watcher:
    """Keeps a model at the newest good version of its folder.

    Args:
        served: The model.
        folder: Folder of numbered versions, or one SavedModel, which never changes.
        limits: Of requests.
        metrics: Where figures go.
        unverified: Whether versions may have no manifest.
    """

    def __init__(
        self, served: Served, folder: Path, limits: Limits, metrics: Metrics, unverified: bool
    ) -> None:
        self.served, self.folder = served, folder
        self._limits, self._metrics, self._unverified = limits, metrics, unverified
        self._refused: dict[str, tuple[object, float]] = {}

    async def look(self) -> None:
        """Looks once; a newer version that is good answers from then on.

        Raises:
            ModelError: No version is good, and none answers.
        """
        now, looked = self.served.loaded, True
        try:
            candidates = await asyncio.to_thread(self._candidates, now)
        except (OSError, ModelError) as error:
            self._note(f"{self.folder}: cannot look for versions: {error}")
            candidates, looked = [], False
        for version in candidates:
            loaded = await self._load(version)
            if loaded is not None:
                self._change(loaded)
                break
        now = self.served.loaded
        if now is None:
            raise ModelError(self.served.trouble or f"{self.folder}: {_NONE}")
        if looked and not any(_number(name) > _number(now.name) for name in self._refused):
            self.served.trouble = ""

    async def watch(self, poll_seconds: float) -> None:
        """Looks again and again."""
        while True:
            await asyncio.sleep(poll_seconds)
            try:
                await self.look()
            except ModelError as error:
                self._note(str(error))
            except Exception:  # a fault of ours must not end the watch
                log.exception("%s: looking for versions failed", self.served.name)

    def _candidates(self, now: Loaded | None) -> list[Path]:
        """Versions to try, newest first; none older than the one that answers, while that is there.

        Where it was removed, the newest good one that is left takes its place, an older one too:
        who removes a version does not want its answers.
        """
        if (self.folder / "saved_model.pb").exists():
            return [] if now else [self.folder]
        there = list(reversed(versions(self.folder)))
        names = [version.name for version in there]
        self._refused = {name: tried for name, tried in self._refused.items() if name in names}
        newer = there[: names.index(now.name)] if now and now.name in names else there
        fresh = [version for version in newer if self._worth(version)]
        if not fresh:  # the usual case, without reading manifests
            return []
        bad = {one.name for one in all_versions(self.folder) if one.rolled_back is not None}
        return [version for version in fresh if version.name not in bad]

    def _worth(self, version: Path) -> bool:
        """Whether a version was not refused before, or may have become better since."""
        state, tried = self._refused.get(version.name, (None, 0.0))
        return state != _state(version) or time.monotonic() - tried > AGAIN_SECONDS

    async def _load(self, version: Path) -> Loaded | None:
        """The version in memory; None: it is refused."""
        state = await asyncio.to_thread(_state, version)
        try:
            return await asyncio.to_thread(load, version, self._limits, self._unverified)
        except Exception as error:  # whatever is wrong with it: the one before goes on
            self._refused[version.name] = state, time.monotonic()
            self._metrics.refused(self.served.name)
            if not isinstance(error, ModelError):
                log.exception("%s: loading failed", version)
                error = ModelError(f"{version}: cannot be loaded: {error!r:.300}")
            self._note(str(error))
            return None

    def _change(self, loaded: Loaded) -> None:
        old = self.served.loaded
        self.served.change(loaded)
        self._metrics.changed(self.served.name, loaded.name, loaded.seconds)
        log.info(
            "%s: version %s answers%s (%s; loaded in %.1f s, %d warm-up requests)",
            self.served.name,
            loaded.name,
            f" in place of {old.name}" if old else "",
            "verified" if loaded.verified else "not verified: it has no manifest",
            loaded.seconds,
            loaded.asked,
        )

    def _note(self, trouble: str) -> None:
        """Says once what is wrong."""
        if trouble != self.served.trouble:
            now = self.served.loaded
            log.error("%s; %s", trouble, f"version {now.name} goes on" if now else "none answers")
        self.served.trouble = trouble


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else 0


def _state(version: Path) -> object:
    """Changes when a file of the version does."""
    try:
        files = sorted(path for path in version.rglob("*") if path.is_file())
        stats = [(str(path), path.stat()) for path in files]
    except OSError:
        return None
    return tuple((name, found.st_size, found.st_mtime_ns) for name, found in stats)
