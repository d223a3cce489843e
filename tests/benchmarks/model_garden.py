"""The Model Garden 2.16 as a peer: its environment, its process, and its weights in our model.

Its process stands beside ours and works only while a command is open, so that both sides can be
measured in turn.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parents[1] / ".venv-peer-mg"
REQUIREMENTS = HERE / "peer-model-garden.txt"
SCRIPT = HERE / "peer_model_garden.py"


class PeerError(RuntimeError):
    """The peer's environment cannot be made, or its process has ended."""


class Peer:
    """The peer's process. `peer.steps(count=10)` sends the command `steps`; see its script."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    def __getattr__(self, name: str) -> Any:
        def send(**arguments: Any) -> dict[str, Any]:
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin and stdout  # both are pipes
            with contextlib.suppress(BrokenPipeError):
                stdin.write(json.dumps({"do": name, **arguments}) + "\n")
                stdin.flush()
            answer = stdout.readline()
            if not answer:
                raise PeerError(f"{SCRIPT.name}: {name}: ended:\n{self._log.read_text()[-3000:]}")
            reply: dict[str, Any] = json.loads(answer)
            return reply

        return send


@contextlib.contextmanager
def started(directory: Path) -> Iterator[Peer]:
    """The peer, for as long as the context lasts.

    Args:
        directory: Gets its log, `peer.log`.

    Raises:
        PeerError: There is no Python 3.11, or the installation failed.
    """
    python = _environment()
    log = directory / "peer.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [str(python), str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Peer(process, log)
        finally:
            process.kill()


def _environment() -> Path:
    """The Python of the peer's environment, which the first call makes."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    base = shutil.which("python3.11")
    if base is None:
        raise PeerError("the Model Garden 2.16 needs python3.11 on the PATH; there is none.")
    sys.stdout.write(f"  installing the Model Garden into {ENVIRONMENT.name} (2 GB, minutes) …\n")
    sys.stdout.flush()
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    for command in (
        [base, "-m", "venv", "--clear", str(ENVIRONMENT)],
        [str(python), *install, "-r", str(REQUIREMENTS)],
    ):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise PeerError(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    stamp.write_text(wanted)
    return python
