"""Warm-up requests: what TensorFlow Serving does with the file, and that it can read ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from babelrank.components.serving import warmup
from babelrank.components.serving.versions import push
from tests.contract.asking import request_for
from tests.contract.conftest import WARMUP_REQUESTS
from tests.contract.model_server import ModelServer
from tests.contract.servable import MAX_WARMUP, Servable
from tests.contract.status import StatusError

Log = prediction_log_pb2.PredictionLog


def requests(*logs: Log | bytes) -> Callable[[Path], Path]:
    """A function that writes a file of records."""

    def write(path: Path) -> Path:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for log in logs:
                writer.write(log if isinstance(log, bytes) else log.SerializeToString())
        return path

    return write


def of(signature: str, **inputs: Any) -> Log:
    log = Log()
    log.predict_log.request.CopyFrom(request_for("any name", signature, **inputs))
    return log


@pytest.fixture
def load(models: list[Path], tmp_path: Path) -> Callable[..., Servable]:
    """Pushes the model with these records and loads what was pushed."""

    def run(*logs: Log | bytes) -> Servable:
        file = requests(*logs)(tmp_path / "requests")
        version, _ = push(models[0], tmp_path / "serving", warmup=file)
        return Servable(version)

    return run


def test_requests_are_replayed(load: Callable[..., Servable]) -> None:
    servable = load(of("serving_default", text=["a"]), of("", text=["a", "b"]), Log())
    assert servable.warmed == 3  # the one of no kind is counted, and skipped
    servable.close()


def test_the_file_that_the_serving_check_writes(
    ranking_server: ModelServer, translation_server: ModelServer
) -> None:
    for server in (ranking_server, translation_server):
        with server.versions.handle() as (_, servable):
            assert servable.warmed == WARMUP_REQUESTS


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (b"\xff\xff", "Failed to parse warmup record"),
        (of("translate", text=["a"]), 'key "translate" not found'),
        (of("", source=["a"]), "Inputs expected to be in the request"),
        (of("", text=[7]), "was expected to be a string|Expects arg|int32"),
        (Log(classify_log=prediction_log_pb2.ClassifyLog()), "classify_log"),
    ],
)
def test_a_request_that_fails_keeps_the_version_from_being_served(
    load: Callable[..., Servable], log: Log | bytes, sentence: str
) -> None:
    with pytest.raises(StatusError, match=sentence):
        load(of("", text=["a"]), log)


def test_a_file_of_another_format(models: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.write_text('{"instances": ["a"]}\n' * 9)
    version, _ = push(models[0], tmp_path / "serving", warmup=file)
    with pytest.raises(StatusError, match="DATA_LOSS"):
        Servable(version)


def test_at_most_a_thousand(load: Callable[..., Servable]) -> None:
    assert warmup.MOST == MAX_WARMUP
    with pytest.raises(StatusError, match="exceeds the maximum"):
        load(*[Log()] * (MAX_WARMUP + 1))
