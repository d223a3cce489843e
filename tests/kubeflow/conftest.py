"""Databases for ML Metadata."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.kubeflow import databases
from tests.kubeflow.databases import Database

KINDS = {"postgresql": databases.postgresql, "mariadb": databases.mariadb}


def _serve(kind: str) -> Iterator[Database]:
    server = KINDS[kind]()
    try:
        database = server.__enter__()
    except databases.NotInstalledError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    try:
        yield database
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="module", params=sorted(KINDS))
def each_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Both databases, one after the other; without them the test is skipped, but not in CI."""
    yield from _serve(request.param)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """The database for this stack, PostgreSQL or MariaDB; BABELRANK_TEST_DATABASE overrides it."""
    usual = "postgresql" if sys.version_info < (3, 12) else "mariadb"
    yield from _serve(os.environ.get("BABELRANK_TEST_DATABASE", usual))
