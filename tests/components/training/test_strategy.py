"""Tests of the choice of devices: what is chosen and why, and what is refused."""

from __future__ import annotations

import json
import re
import time

import pytest

from babelrank.components.errors import DeviceError
from babelrank.components.training import strategy as strategies
from babelrank.components.training.config import StrategyConfig

WORKERS = {"worker": ["a:1", "b:1"]}
SERVERS = {"chief": ["c:1"], "worker": ["a:1", "b:1"], "ps": ["p:1"]}


def configure(
    monkeypatch: pytest.MonkeyPatch, cluster: dict[str, list[str]], kind: str = "worker"
) -> None:
    config = {"cluster": cluster, "task": {"type": kind, "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


@pytest.mark.parametrize(
    ("cluster", "name"),
    [({}, "one_device"), (WORKERS, "multi_worker_mirrored"), (SERVERS, "parameter_server")],
)
def test_auto_follows_tf_config(
    monkeypatch: pytest.MonkeyPatch, cluster: dict[str, list[str]], name: str
) -> None:
    configure(monkeypatch, cluster)
    chosen, why = strategies.choose(StrategyConfig())
    assert chosen == name
    assert why.startswith(f"{name} (auto: ")


@pytest.mark.parametrize("missing", ["chief", "worker", "ps"])
def test_parameter_server_needs_all_kinds(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    configure(monkeypatch, {kind: v for kind, v in SERVERS.items() if kind != missing})
    with pytest.raises(DeviceError, match="needs the environment variable TF_CONFIG with the addr"):
        strategies.choose(StrategyConfig(name="parameter_server"))


def test_the_gpu_of_another_machine_is_not_looked_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="TensorFlow finds no GPU here"):
        strategies.choose(StrategyConfig(device="gpu"))
    configure(monkeypatch, SERVERS)
    chosen, _ = strategies.choose(StrategyConfig(device="gpu"))
    assert chosen == "parameter_server"


def test_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert strategies.role() == ("", 0)
    configure(monkeypatch, SERVERS, "ps")
    assert strategies.role() == ("ps", 0)
    monkeypatch.setenv("TF_CONFIG", "[1")
    with pytest.raises(DeviceError, match=re.escape("TF_CONFIG: got [1; takes JSON with")):
        strategies.role()


@pytest.mark.parametrize("address", ["", "local", "no-such-tpu", "grpc://127.0.0.1:1"])
def test_a_missing_tpu_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")  # where nobody answers
    began = time.monotonic()
    with pytest.raises(DeviceError, match=f"no TPU answers at {address or 'the address of the'}"):
        strategies.create(StrategyConfig(name="tpu", tpu=address))
    if address != "local":  # which tells only when it is used
        with pytest.raises(DeviceError, match="no TPU answers"):  # before data are read
            strategies.check(StrategyConfig(name="tpu", tpu=address))
    assert time.monotonic() - began < 30
