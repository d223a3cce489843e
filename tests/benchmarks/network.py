"""The network that both sides have in the translation benchmarks, and the machine's ceiling.

The ceiling is the machine's rate of matrix products; the network needs so many of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import babelrank  # noqa: F401  before TensorFlow

# isort: split
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from babelrank.components.translation.model_config import EncDecoder, ModelConfig

PRECISIONS = ("float32", "bfloat16")
_SHAPE, _ROUNDS = (4096, 1024, 4096), 8


def matmul_rates() -> dict[str, float]:
    """FLOP/s of a 4096 x 1024 x 4096 product in TensorFlow by precision, the best of some."""
    return {name: _matmul_rate(name) for name in PRECISIONS}


def _matmul_rate(dtype: str) -> float:
    rows, inner, columns = _SHAPE
    left = tf.cast(tf.random.normal([rows, inner]), dtype)
    right = tf.cast(tf.random.normal([inner, columns]), dtype)
    product = tf.function(lambda: tf.reduce_max(tf.matmul(left, right)[:1]))
    product().numpy()
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        product().numpy()
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best


@dataclass(frozen=True)
class Network:
    """Dimensions of a Transformer, and the FLOPs of its matrix products."""

    width: int = 256
    layers: int = 3
    heads: int = 4
    inner_width: int = 1024
    vocab_size: int = 8000

    def fields(self, **changes: Any) -> dict[str, Any]:
        """The Model Garden's fields of this network, with dropout 0.1 everywhere."""
        stack = {
            "num_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner_width,
        }
        return {"encoder": stack, "decoder": stack, "embedding_width": self.width, **changes}

    def config(self, **changes: Any) -> ModelConfig:
        """The same as our configuration."""
        fields = self.fields(**changes)
        encoder, decoder = (EncDecoder(**fields.pop(name)) for name in ("encoder", "decoder"))
        return ModelConfig(encoder, decoder, **fields)

    def training(self, sources: ArrayLike, targets: ArrayLike) -> float:
        """FLOPs of one step on pairs of these lengths, without padding: three times forward."""
        s, t = np.asarray(sources, np.float64), np.asarray(targets, np.float64)
        decoder = t * self._decoder_token + 4 * t * (t + s) * self.width * self.layers
        return float(3 * np.sum(self._encoder(s) + decoder))

    def decoding(self, sources: ArrayLike, targets: ArrayLike, beam_size: int) -> float:
        """FLOPs of finding translations of these lengths with all hypotheses as long."""
        s, t = np.asarray(sources, np.float64), np.asarray(targets, np.float64)
        attention = 4 * t * ((t + 1) / 2 + s) * self.width * self.layers
        return float(np.sum(self._encoder(s) + beam_size * (t * self._decoder_token + attention)))

    def _encoder(self, s: Any) -> Any:
        """With the keys and values that the decoder makes of its output."""
        d = self.width
        token = 2 * (4 * d * d + 2 * d * self.inner_width) + 2 * 2 * d * d
        return self.layers * (s * token + 4 * s * s * d)

    @property
    def _decoder_token(self) -> float:
        d = self.width
        layer = 2 * (6 * d * d + 2 * d * self.inner_width)
        return self.layers * layer + 2 * d * self.vocab_size


NETWORK = Network()
