"""Who settles things in a training, and what a lost process is told as."""

from __future__ import annotations

import pytest
import tensorflow as tf

from babelrank.components.errors import WorkerLostError
from babelrank.components.training import strategy as strategies
from babelrank.components.training.workers import attended

STRATEGY = tf.distribute.get_strategy()


def test_one_process_has_nobody_to_ask() -> None:
    with attended(STRATEGY, 1.0) as workers:
        assert workers is None


def test_a_coordinator_asks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "is_asynchronous", lambda _: True)
    with attended(STRATEGY, 1.0) as workers:
        assert workers is not None
        assert [workers.any(True), workers.any(False)] == [True, False]
        assert workers.gather(b"mine") == [b"mine"]


def test_a_lost_parameter_server_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "is_asynchronous", lambda _: True)
    with (
        pytest.raises(WorkerLostError, match=r"or every worker, of this training is gone: gone"),
        attended(STRATEGY, 1.0),
    ):
        raise tf.errors.UnavailableError(None, None, "gone.\nand more")
