"""Servers of tiny models, in the server's own environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.components.serving.server.models import pushed, save_scorer
from tests.components.serving.server.process import Server, environment


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ranking model, not pushed; an empty row scores 0.125."""
    return save_scorer(tmp_path_factory.mktemp("scorer") / "model", 0.125)


@pytest.fixture(scope="session")
def kserve() -> Path:
    """The Python of the server's environment."""
    python = environment()
    if python.exists():
        return python
    if os.environ.get("CI") and sys.version_info < (3, 12):
        pytest.fail(f"{python} is not there; CI makes it with `make serve-env`.")
    pytest.skip(
        f"{python} is not there: `make serve-env` makes it. It has versions of its own, so it is "
        "tested beside the older stack only."
    )


@pytest.fixture
def start(kserve: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server, which is ended after the test."""
    servers: list[Server] = []

    def started(*arguments: str) -> Server:
        servers.append(Server(tmp_path, *arguments))
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def running(
    kserve: Path, scorer: Path, reverser: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of both models, with small limits."""
    folder = tmp_path_factory.mktemp("running")
    pushed(scorer, folder / "ranking")
    pushed(reverser / "3", folder / "translation")
    limits = ("--max-body-mib", "1", "--max-instances", "600", "--max-characters", "2000")
    server = Server(folder, str(folder / "ranking"), str(folder / "translation"), *limits)
    try:
        yield server.ready()
    finally:
        server.stop()
