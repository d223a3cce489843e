"""What the workers and parameter servers of a `ParameterServerStrategy` run: they do as told.

The chief coordinates: it alone runs the training, and has these processes execute parts of it. They
end when it tells them, or when it is gone. It tells them by an operation on their device, which
writes to a pipe of theirs; TensorFlow's own servers wait forever.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Iterator

import tensorflow as tf

from babelrank.components.errors import RESUME, DeviceError
from babelrank.components.training import strategy as strategies
from babelrank.components.training.config import StrategyConfig

_EAR = 200  # number of the pipe's end for writing, in every process the same
_OFTEN = 1.0  # seconds between two looks at whether the chief is there
_GONE = 10.0  # seconds without the chief, after it was there
_FAREWELL = 1.0  # seconds for the answer to the chief
_SERVERS = ("worker", "ps")
_DONE = 0


def is_server(config: StrategyConfig) -> bool:
    """Whether this process is to `serve`, and not to train by itself.

    Raises:
        DeviceError: What the configuration asks for is not there.
    """
    name, _ = strategies.choose(config)
    return name == "parameter_server" and strategies.role()[0] in _SERVERS


def serve(config: StrategyConfig) -> int:
    """Serves until the training is over.

    Returns:
        The exit code: 0 when the chief has said that it is done; 143 when it is gone, or has not
        come within `worker_timeout`.

    Raises:
        DeviceError: The address of this process cannot be used.
    """
    kind, index = strategies.role()
    cluster = tf.train.ClusterSpec(strategies.cluster())
    with _listening() as ear:
        try:
            tf.distribute.Server(cluster, job_name=kind, task_index=index, protocol="grpc")
        except tf.errors.OpError as error:
            raise DeviceError(
                f"TF_CONFIG: {kind} {index} cannot serve at {cluster.task_address(kind, index)}: "
                f"{str(error)[:300]} Give it a free address of this machine."
            ) from error
        return _wait(ear, cluster.task_address("chief", 0), config.worker_timeout)


def dismiss() -> None:
    """Tells all processes that serve this chief that it is done; lost ones are left alone.

    Does nothing in a process that has made no `ParameterServerStrategy`.
    """
    connected = {device.name.split("/")[1] for device in tf.config.list_logical_devices()}
    if "job:ps" not in connected:
        return
    cluster = strategies.cluster()
    for kind in _SERVERS:
        for index in range(len(cluster[kind])):
            device = f"/job:{kind}/replica:0/task:{index}/device:CPU:0"
            with contextlib.suppress(tf.errors.OpError), tf.device(device):
                tf.io.write_file(f"/dev/fd/{_EAR}", "done")


@contextlib.contextmanager
def _listening() -> Iterator[int]:
    """The end for reading of a pipe whose other end is `_EAR`.

    Raises:
        RuntimeError: The number is taken; a process that only serves has few files open.
    """
    with contextlib.suppress(OSError):
        os.fstat(_EAR)
        raise RuntimeError(f"file number {_EAR} is taken; serve in a process of its own.")
    reading, writing = os.pipe()
    os.dup2(writing, _EAR)
    os.close(writing)
    try:
        yield reading
    finally:
        os.close(_EAR)
        os.close(reading)


def _wait(ear: int, chief: str, timeout: float) -> int:
    seen, last = False, time.monotonic()
    while True:
        if select.select([ear], [], [], _OFTEN)[0]:
            time.sleep(_FAREWELL)
            return _DONE
        if _answers(chief):
            seen, last = True, time.monotonic()
        elif time.monotonic() - last > (_GONE if seen else timeout):
            what = "is gone" if seen else f"has not come in {timeout:g} s"
            sys.stderr.write(
                f"babelrank: the chief at {chief} {what}. Look at its log; started again, all "
                f"processes of this training go on from the last checkpoint.\n"
            )
            return RESUME


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _OFTEN).close()
    except OSError:
        return False
    return True
