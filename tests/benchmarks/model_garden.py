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
import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parents[1] / ".venv-peer-mg"
REQUIREMENTS = HERE / "peer-model-garden.txt"
SCRIPT = HERE / "peer_model_garden.py"

Weights = dict[str, np.ndarray[Any, Any]]


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


def carry_over(weights: Weights, model: tf.keras.Model) -> None:
    """Puts the Model Garden's weights into our model.

    Args:
        weights: Arrays by their names, as the peer saves them.
        model: Our Transformer of the same dimensions, with one vocabulary for both sides.

    Raises:
        ValueError: A weight has no place, or not the shape of its place.
    """
    ours = dict(_pairs(model))
    unused = set(weights) - {name for names in ours for name in names}
    if unused:
        raise ValueError(f"no place for {sorted(unused)[0]} and {len(unused) - 1} more.")
    for names, variable in ours.items():
        parts = [_flat(name, weights[name]) for name in names]
        variable.assign(np.concatenate(parts, axis=-1))


def carried_back(model: tf.keras.Model) -> Weights:
    """The weights of our model as the Model Garden has them; see `carry_over`."""
    weights: Weights = {}
    heads = model.config.encoder.num_attention_heads
    for names, variable in _pairs(model):
        for name, part in zip(names, np.split(variable.numpy(), len(names), axis=-1), strict=True):
            weights[name] = _deep(name, part, heads)
    return weights


def _pairs(model: tf.keras.Model) -> Iterator[tuple[tuple[str, ...], tf.Variable]]:
    """Their names beside our variables; several names: side by side in one variable."""
    yield ("embeddings",), model.target_embedding
    for i, layer in enumerate(model.encoder_layers):
        block = f"transformer_encoder/layer_{i}/"
        yield from _self_attention(block, layer)
        yield from _feed_forward(block, layer)
    for i, layer in enumerate(model.decoder_layers):
        block = f"transformer_decoder/layer_{i}/"
        yield from _self_attention(block, layer)
        cross, theirs = layer.cross_attention, block + "attention/encdec/"
        yield (theirs + "query/kernel",), cross.query_projection.kernel
        yield (theirs + "key/kernel", theirs + "value/kernel"), cross.memory_projection.kernel
        yield (theirs + "attention_output/kernel",), cross.output_projection.kernel
        yield from _norm(block + "attention/encdec_output_layer_norm", layer.cross_residual.norm)
        yield from _feed_forward(block, layer)
    yield from _norm("transformer_encoder/output_normalization", model.encoder_norm)
    yield from _norm("transformer_decoder/output_normalization", model.decoder_norm)


def _self_attention(block: str, layer: Any) -> Iterator[tuple[tuple[str, ...], tf.Variable]]:
    theirs = block + "self_attention/"
    kernels = tuple(f"{theirs}{part}/kernel" for part in ("query", "key", "value"))
    yield kernels, layer.attention.input_projection.kernel
    yield (theirs + "attention_output/kernel",), layer.attention.output_projection.kernel
    yield from _norm(block + "self_attention_layer_norm", layer.attention_residual.norm)


def _feed_forward(block: str, layer: Any) -> Iterator[tuple[tuple[str, ...], tf.Variable]]:
    inner, outer = layer.feed_forward.inner, layer.feed_forward.outer
    for theirs, ours in (("intermediate", inner), ("output", outer)):
        yield (f"{block}{theirs}/kernel",), ours.kernel
        yield (f"{block}{theirs}/bias",), ours.bias
    yield from _norm(block + "output_layer_norm", layer.output_residual.norm)


def _norm(theirs: str, ours: Any) -> Iterator[tuple[tuple[str, ...], tf.Variable]]:
    yield (theirs + "/gamma",), ours.gamma
    yield (theirs + "/beta",), ours.beta


def _flat(name: str, weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A kernel [D, H, C] or, of an output, [H, C, D] as [D, D]."""
    if weight.ndim < 3:
        return weight
    if "attention_output" in name:
        return weight.reshape(-1, weight.shape[-1])
    return weight.reshape(weight.shape[0], -1)


def _deep(name: str, weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The other way round."""
    if "attention" not in name or not name.endswith("/kernel"):
        return weight
    width = weight.shape[0]
    if "attention_output" in name:
        return weight.reshape(heads, width // heads, width)
    return weight.reshape(width, heads, width // heads)
