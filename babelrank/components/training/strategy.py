"""Where training runs: from the configuration to a `tf.distribute` strategy."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from babelrank.components.errors import DeviceError
from babelrank.components.training.config import StrategyConfig
from babelrank.components.training.supervisor import Watched

_CLUSTER = "TF_CONFIG"
_NEEDED = {"multi_worker_mirrored": ("worker",)}
_TPU_SECONDS = 10.0
_STEPS_OF_A_WORKER = 2  # one to take, and one to send meanwhile


@dataclass(frozen=True)
class Placement:
    """Where a training runs.

    Attributes:
        strategy: What TensorFlow calls it.
        name: Name of the strategy, never "auto".
        why: What was chosen and why, one line.
    """

    strategy: tf.distribute.Strategy
    name: str
    why: str

    @property
    def chief(self) -> bool:
        """Whether this process writes what the training leaves."""
        return is_chief(self.strategy)


def is_asynchronous(strategy: tf.distribute.Strategy) -> bool:
    """Whether workers take steps side by side, as one process, this one, tells them."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """Whether the devices of a strategy take batches of one shape only."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def steps_at_once(strategy: tf.distribute.Strategy, least: int) -> int:
    """Steps that are asked for at once: `least`, or enough to keep all workers busy."""
    if not is_asynchronous(strategy):
        return least
    return max(least, _STEPS_OF_A_WORKER * len(cluster()["worker"]))


def worker_count(strategy: tf.distribute.Strategy) -> int:
    """Processes that take every step of a strategy together."""
    if is_asynchronous(strategy):
        return 1
    return int(getattr(strategy.extended, "_num_workers", 1))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what a training with the strategy leaves."""
    return bool(strategy.extended.should_checkpoint)


def create(config: StrategyConfig) -> Placement:
    """Makes the strategy; several workers wait for each other here.

    Call it before anything else touches TensorFlow's devices.

    Raises:
        DeviceError: What is asked for is not there.
    """
    name, why = choose(config)
    if name == "one_device":
        return Placement(_one_device(config), name, why)
    if name == "mirrored":
        devices = _devices(config)
        return Placement(tf.distribute.MirroredStrategy(devices), name, why)
    if name == "tpu":
        return Placement(_tpu(config.tpu), name, why)
    with Watched(config.worker_timeout, f"waiting for the workers of {os.environ[_CLUSTER]}"):
        if name == "parameter_server":
            return Placement(_parameter_server(config), name, why)
        return Placement(tf.distribute.MultiWorkerMirroredStrategy(), name, why)


def check(config: StrategyConfig) -> str:
    """What `create` would choose and why, without waiting for anybody.

    Raises:
        DeviceError: What is asked for is not there.
    """
    name, why = choose(config)
    if name == "mirrored":
        _devices(config)
    if name == "tpu":
        with _answering(config.tpu):
            _tpu_resolver(config.tpu)
    return why


def choose(config: StrategyConfig) -> tuple[str, str]:
    """The name of the strategy, never "auto", and why it is that.

    Raises:
        DeviceError: What is asked for is not there.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    named = cluster()
    asynchronous = config.name == "parameter_server" or (config.name == "auto" and "ps" in named)
    # With parameter servers the workers need the GPU, and this may be another process.
    if config.device == "gpu" and not gpus and not asynchronous:
        raise DeviceError(
            "training.strategy.device: got gpu, and TensorFlow finds no GPU here (`babelrank "
            "doctor` lists the devices). Install the driver, or take device: auto."
        )
    needed = ("chief", "worker", "ps") if asynchronous else _NEEDED.get(config.name, ())
    if not all(named.get(kind) for kind in needed):
        name = "parameter_server" if asynchronous else config.name
        raise DeviceError(
            f"training.strategy: {name} needs the environment variable {_CLUSTER} with the "
            f"addresses of the cluster's {', '.join(needed)}; got "
            f"{os.environ.get(_CLUSTER) or 'nothing'}. Kubeflow's TFJob sets it."
        )
    if config.name != "auto":
        return config.name, f"{config.name}, as configured"
    if asynchronous:
        return "parameter_server", f"parameter_server (auto: {_CLUSTER} names parameter servers)"
    workers = len(named.get("worker", ())) + len(named.get("chief", ()))
    if workers > 1:
        why = f"multi_worker_mirrored (auto: {_CLUSTER} names {workers} workers)"
        return "multi_worker_mirrored", why
    if gpus > 1 and config.device != "cpu":
        return "mirrored", f"mirrored (auto: {gpus} GPUs)"
    if gpus and config.device != "cpu":
        return "one_device", "one_device (auto: one GPU)"
    return "one_device", "one_device (auto: no GPU here, so the processor)"


def cluster() -> Mapping[str, Sequence[str]]:
    """The addresses of the processes of a training, by kind; empty if there is but this one.

    Raises:
        DeviceError: TF_CONFIG holds something else.
    """
    return dict(_configured().get("cluster", {}))


def role() -> tuple[str, int]:
    """Kind and number of this process; ("", 0) if there is but this one.

    Raises:
        DeviceError: TF_CONFIG holds something else.
    """
    task = _configured().get("task", {})
    return str(task.get("type", "")), int(task.get("index", 0))


def _configured() -> Mapping[str, Any]:
    text = os.environ.get(_CLUSTER)
    if not text:
        return {}
    try:
        configured = json.loads(text)
        return {"cluster": dict(configured.get("cluster", {})), "task": configured.get("task", {})}
    except (ValueError, TypeError, AttributeError) as error:
        raise DeviceError(
            f"{_CLUSTER}: got {text[:200]}; takes JSON with `cluster` and `task` ({error})."
        ) from error


def _one_device(config: StrategyConfig) -> tf.distribute.Strategy:
    if config.device == "cpu" and tf.config.list_physical_devices("GPU"):
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    return tf.distribute.get_strategy()  # TensorFlow's default: the first GPU or the processor


def _devices(config: StrategyConfig) -> list[str]:
    """The devices of mirrored; `device: cpu` divides the processor into as many as asked for."""
    gpu = config.device != "cpu" and bool(tf.config.list_physical_devices("GPU"))
    kind = "GPU" if gpu else "CPU"
    if config.device == "cpu" and config.devices:
        _divide_processor(config.devices)
    found = [device.name for device in tf.config.list_logical_devices(kind)]
    wanted = config.devices or len(found)
    if wanted > len(found):
        raise DeviceError(
            f"training.strategy.devices: got {wanted}, and there are {len(found)} {kind} devices "
            f"({', '.join(found)}). Take at most {len(found)}, or device: cpu, which divides the "
            f"processor."
        )
    return found[:wanted]


def _divide_processor(count: int) -> None:
    """Makes one processor several devices, as long as TensorFlow has not begun."""
    (processor, *_) = tf.config.list_physical_devices("CPU")
    configured = tf.config.get_logical_device_configuration(processor) or []
    if count <= len(configured):
        return
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(processor, parts)
    except RuntimeError:
        return  # TensorFlow has begun; the caller counts what there is


def _tpu(address: str) -> tf.distribute.Strategy:
    with _answering(address):
        resolver = _tpu_resolver(address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


@contextlib.contextmanager
def _answering(address: str) -> Iterator[None]:
    """What fails within, fails since the TPU does not answer."""
    try:
        yield
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise DeviceError(
            f"training.strategy: no TPU answers at {address or 'the address of the environment'}: "
            f"{str(error)[:300]} Set strategy.tpu to a name or a grpc:// address, and run where "
            f"the TPU can be reached."
        ) from error


def _tpu_resolver(address: str) -> Any:
    """Finds a TPU and sees whether its port is open; TensorFlow would wait for minutes.

    Raises:
        OSError: It is not.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TPU_SECONDS)  # the look-up of a name has none of its own
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        host, _, port = resolver.master().removeprefix("grpc://").rpartition(":")
        if port.isdigit():  # "local" and "" are this machine
            socket.create_connection((host.strip("[]"), int(port))).close()
    finally:
        socket.setdefaulttimeout(before)
    return resolver


def _parameter_server(config: StrategyConfig) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    if config.device == "gpu" and not tf.config.list_logical_devices("GPU"):
        raise DeviceError(
            "training.strategy.device: got gpu, and none of the workers has one. Install the "
            "driver there, or take device: auto."
        )
    return strategy
