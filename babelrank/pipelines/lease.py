"""Keeps two runs on a cluster from using one output folder: a file that a run keeps fresh.

A lock of the operating system ends with its process; a run on a cluster is many processes, one
after another, with pauses. So it holds a lease, which another run may take over only when nobody
has kept it fresh for long. Whoever lost it finds out before the next step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babelrank.components import durable
from babelrank.components.errors import BabelRankError

_NAME = ".lease"
_OFTEN = 30.0  # seconds between two signs of life


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keeps two runs from using one output folder at the same time.

    Raises:
        BabelRankError: Another run uses it, here or on a cluster.
    """
    with locked(out):
        lease = Lease(out)
        lease.check_free()
        lease.end()  # that of a dead run, which finds out if it comes back
        yield


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Holds the lock of an output folder, whoever has the lease.

    Raises:
        BabelRankError: Another process holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BabelRankError(
                f"{out}: another run is using this folder. Wait for it, or choose another --out."
            ) from None
        except OSError as error:
            raise BabelRankError(
                f"{out}: cannot lock this folder ({error}). Is its volume mounted without locks? "
                f"Mount it with them, or choose another --out."
            ) from None
        yield


class Lease:
    """The right of one run to use an output folder.

    Args:
        out: The output folder.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / _NAME

    def take(self, run_id: str, minutes: int) -> None:
        """Takes the lease for a run, or takes it again; the folder is `locked` meanwhile.

        Args:
            run_id: The run.
            minutes: How long without a sign of life it holds.

        Raises:
            BabelRankError: Another run has it.
        """
        if self.holder() != run_id:
            self.check_free()
        durable.write_text(self._file, json.dumps({"run_id": run_id, "minutes": minutes}))

    def check_free(self) -> None:
        """Nothing, if no run has the lease, or it is dead.

        Raises:
            BabelRankError: A run has it.
        """
        content, age = self._content(), self._age() / 60
        if age < content["minutes"]:
            raise BabelRankError(
                f"{self._file.parent}: the run {content['run_id']} is using this folder (its last "
                f"sign of life was {age:.0f} min ago). Wait for it; if it is dead, the folder is "
                f"free after {content['minutes']} min, or when you delete {self._file}."
            )

    def holder(self) -> str | None:
        """The run that has the lease, dead or alive; None if nobody has.

        Raises:
            BabelRankError: The file cannot be read.
        """
        return self._content()["run_id"]

    def _content(self) -> dict[str, Any]:
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            return {"run_id": str(content["run_id"]), "minutes": int(content["minutes"])}
        except FileNotFoundError:
            return {"run_id": None, "minutes": 0}
        except (ValueError, TypeError, KeyError) as error:
            raise BabelRankError(
                f"{self._file}: is damaged ({error!r:.100}). Delete it, if no run uses this folder."
            ) from None

    def _age(self) -> float:
        """Seconds since the last sign of life."""
        try:
            return max(0.0, time.time() - self._file.stat().st_mtime)
        except FileNotFoundError:
            return math.inf

    @contextlib.contextmanager
    def kept(self, run_id: str) -> Iterator[None]:
        """Keeps the lease fresh.

        Raises:
            BabelRankError: Another run has taken it over.
        """
        holder = self.holder()
        if holder != run_id:
            taken = f"the run {holder} has taken it over" if holder else "nobody has it any more"
            raise BabelRankError(
                f"{self._file.parent}: the run {run_id} has lost this folder: {taken}. "
                f"Start a new run."
            )
        over = threading.Event()

        def refresh() -> None:
            while not over.wait(_OFTEN):
                with contextlib.suppress(OSError, BabelRankError):
                    if self.holder() == run_id:
                        os.utime(self._file)

        os.utime(self._file)
        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def release(self, run_id: str) -> None:
        """Gives the lease back, if the run has it."""
        if self.holder() == run_id:
            self.end()

    def end(self) -> None:
        """Takes the lease from whoever has it."""
        self._file.unlink(missing_ok=True)
