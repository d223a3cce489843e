"""Tests of ML Metadata on real databases."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2

from babelrank.components.errors import BabelRankError
from babelrank.pipelines import database
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.metadata_store import open_store
from tests.kubeflow.databases import Database

TEXT = "".join(rf'{{"{number}": "\"ünï\\c\n", \'%s\'}}' for number in range(3000))


def _connection(server: Database, password: str) -> metadata_store_pb2.ConnectionConfig:
    environment = {database.VARIABLE: server.address, database.PASSWORD: password}
    return database.connection(Layout(Path("unused")), environment)


def test_what_is_written_is_there_for_the_next_process(each_database: Database):
    config = _connection(each_database, each_database.password)
    store = open_store(config)
    kind = metadata_store_pb2.ArtifactType(name="Kind")
    kind.properties["text"] = metadata_store_pb2.STRING
    number = store.put_artifact_type(kind)
    artifact = metadata_store_pb2.Artifact(type_id=number, uri="somewhere/ünïcode")
    artifact.properties["text"].string_value = TEXT
    store.put_artifacts([artifact])

    (found,) = open_store(config).get_artifacts_by_type("Kind")
    assert found.uri == "somewhere/ünïcode"
    assert found.properties["text"].string_value == TEXT


def test_a_wrong_password_is_an_error(each_database: Database):
    with pytest.raises(BabelRankError, match="ML Metadata cannot be reached") as raised:
        open_store(_connection(each_database, "wrong"))
    assert "wrong" not in str(raised.value)


def _write(server: Database) -> None:
    """What steps do: note that they run, look at the others, note that they have ended."""
    store = open_store(_connection(server, server.password))
    number = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Step"))
    for _ in range(20):
        execution = metadata_store_pb2.Execution(type_id=number)
        execution.last_known_state = metadata_store_pb2.Execution.RUNNING
        (execution.id,) = store.put_executions([execution])
        store.get_executions_by_type("Step")
        execution.last_known_state = metadata_store_pb2.Execution.COMPLETE
        store.put_executions([execution])


def test_several_steps_at_a_time(each_database: Database):
    # In processes: threads wait for each other in the client.
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_write, 4 * [each_database]))
    store = open_store(_connection(each_database, each_database.password))
    found = store.get_executions_by_type("Step")
    assert len(found) == 80
    assert {one.last_known_state for one in found} == {metadata_store_pb2.Execution.COMPLETE}
