"""The versions of one model: which are loaded, and which answers.

As TensorFlow Serving's file system source with its default policy, the newest version only, and
its AvailabilityPreservingPolicy: a version goes once the next one is loaded, and once the last
request on it has ended. What is not loaded at once here is tried again later there (five times,
a minute apart).
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.contract.servable import Servable
from tests.contract.status import NOT_FOUND, StatusError

START, LOADING, AVAILABLE, UNLOADING, END = "START", "LOADING", "AVAILABLE", "UNLOADING", "END"


@dataclass
class Version:
    """A version that was seen.

    Attributes:
        state: Name of the `ModelVersionStatus.State`.
        error: Why it could not be loaded; None: it could, or is not loaded yet.
        servable: None unless loaded.
        users: Requests on it.
    """

    state: str = START
    error: StatusError | None = None
    servable: Servable | None = None
    users: int = 0


class Versions:
    """The versions of a model.

    Args:
        name: Name of the model.
        base_path: Folder with a numbered folder for each version.
    """

    def __init__(self, name: str, base_path: Path) -> None:
        self.name, self.base_path = name, base_path
        self._known: dict[int, Version] = {}
        self._changed = threading.Condition()

    def poll(self) -> None:
        """Looks into the folder once; returns when the newest version is loaded, or cannot be.

        Raises:
            StatusError: There is no such folder; what is loaded stays.
        """
        if not self.base_path.exists():
            raise StatusError(NOT_FOUND, f"Could not find base path {self.base_path}")
        found = {_number(child.name): child for child in self.base_path.iterdir()}
        found.pop(None, None)
        newest = max(found, default=None)
        if newest is not None and self._state(newest) not in (AVAILABLE, UNLOADING):
            self._load(newest, found[newest])
        if newest is None or self._state(newest) == AVAILABLE:
            for number in self.available():
                if number != newest:
                    self._unload(number)

    def available(self) -> list[int]:
        """Numbers of the versions that answer, the newest first."""
        return [number for number, version in self.known() if version.state == AVAILABLE]

    def known(self) -> list[tuple[int, Version]]:
        """All versions that were ever seen, the newest first."""
        with self._changed:
            return sorted(self._known.items(), reverse=True)

    @contextlib.contextmanager
    def handle(self, number: int | None = None) -> Iterator[tuple[int, Servable]]:
        """A version and its number, kept while it is used; None: the newest that is available."""
        with self._changed:
            numbers = [n for n, v in self._known.items() if v.state == AVAILABLE]
            chosen = max(numbers, default=None) if number is None else number
            version = self._known.get(chosen) if chosen in numbers else None
            if chosen is None or version is None or version.servable is None:
                wanted = f"Specific({self.name}, {number})" if number else f"Latest({self.name})"
                raise StatusError(NOT_FOUND, f"Servable not found for request: {wanted}")
            version.users += 1
        try:
            yield chosen, version.servable
        finally:
            with self._changed:
                version.users -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Unloads everything."""
        for number in self.available():
            self._unload(number)

    def _state(self, number: int) -> str:
        return self._known.get(number, Version()).state

    def _load(self, number: int, path: Path) -> None:
        version = Version(state=LOADING)
        with self._changed:
            self._known[number] = version
        try:
            version.servable = Servable(path)
            version.state = AVAILABLE
        except StatusError as error:
            version.error, version.state = error, END

    def _unload(self, number: int) -> None:
        version = self._known[number]
        with self._changed:
            version.state = UNLOADING
            self._changed.wait_for(lambda: not version.users)
            servable, version.servable = version.servable, None
            version.state = END
        if servable is not None:
            servable.close()


def _number(name: str) -> int | None:
    """The number that a folder's name is; None: it is none, and the folder no version."""
    text = name.strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None
