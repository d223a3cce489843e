"""Tests of how ML Metadata's database is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from ml_metadata import MetadataStore

from babelrank.components.errors import ConfigError
from babelrank.pipelines import database
from babelrank.pipelines.layout import Layout


def test_without_an_address_it_is_a_file_of_the_output_folder(tmp_path: Path):
    config = database.connection(Layout(tmp_path / "a b#c" / "out"), {})
    assert MetadataStore(config).get_artifacts() == []
    assert (tmp_path / "a b#c" / "out" / "metadata.sqlite").exists()


def test_a_file_elsewhere(tmp_path: Path):
    config = database.connection(
        Layout(tmp_path), {database.VARIABLE: f"sqlite://{tmp_path}/deep/db"}
    )
    assert config.sqlite.filename_uri == f"{tmp_path}/deep/db"


def test_databases(tmp_path: Path):
    address = {database.VARIABLE: "postgresql://me:p%40ss@db:15432/lineage"}
    found = database.connection(Layout(tmp_path), address).postgresql
    assert (found.host, found.port, found.user, found.password, found.dbname) == (
        *("db", "15432", "me", "p@ss"),
        "lineage",
    )
    address = {database.VARIABLE: "mysql://me@db/lineage", database.PASSWORD: "secret"}
    other = database.connection(Layout(tmp_path), address).mysql
    assert (other.host, other.port, other.user, other.password, other.database) == (
        *("db", 3306, "me", "secret"),
        "lineage",
    )


@pytest.mark.parametrize(
    "address",
    [
        "oracle://me:secret@db/x",
        "mysql://db/x",
        "mysql://me@db",
        "postgresql://me:se/secret@db/x",
        "postgresql://me@db:port/x",
        "postgresql://me@db/x?sslmode=require",
    ],
)
def test_what_is_no_address(address: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"BABELRANK_METADATA: got .* takes postgres") as raised:
        database.connection(Layout(tmp_path), {database.VARIABLE: address})
    assert "secret" not in str(raised.value)
