"""Weights of the Model Garden's `Seq2SeqTransformer` in our model, and back.

Names are the Model Garden's variable names without the model's own: `embeddings`,
`transformer_encoder/layer_0/self_attention/query/kernel` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from babelrank.components.training.object_graph import ObjectGraph, SavedWeights
from babelrank.components.translation.model import Transformer

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]


def carry_over(weights: Weights, model: Transformer) -> None:
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


def carried_back(model: Transformer) -> dict[str, Array]:
    """The weights of our model as the Model Garden has them; see `carry_over`."""
    weights: dict[str, Array] = {}
    heads = model.config.encoder.num_attention_heads
    for names, variable in _pairs(model):
        for name, part in zip(names, np.split(variable.numpy(), len(names), axis=-1), strict=True):
            weights[name] = _deep(name, part, heads)
    return weights


def adapted(saved: SavedWeights, model: Transformer) -> dict[str, Array]:
    """The weights of a checkpoint of the Model Garden by their paths in our model.

    Args:
        saved: Any checkpoint; what the Model Garden did not write gives no weights.
        model: Our Transformer. What it has and the checkpoint has not is left out.
    """
    if saved.get("embedding_lookup/embeddings") is None:
        return {}
    keys = {_name(name): key for name, key in saved.names.items()}
    places = {id(variable): path for path, variable in ObjectGraph.of_model(model).paths().items()}
    places[id(model.target_embedding)] = "target_embedding"  # shared, it has other paths too
    weights = {}
    for names, variable in _pairs(model):
        if all(name in keys for name in names):
            parts = [_flat(name, saved.read(keys[name])) for name in names]
            weights[places[id(variable)]] = np.concatenate(parts, axis=-1)
    return weights


def _name(full: str) -> str:
    """A variable's name without the model's, and without the numbers of second models."""
    name = re.sub(r"^on_device_embedding(_\d+)?/", "", full.partition("/")[2])
    name = re.sub(r"^(transformer_..coder)(_\d+)?/", r"\1/", name)
    return re.sub(r"/layer_normalization(_\d+)?/", "/output_normalization/", name)


def _pairs(model: Transformer) -> Iterator[tuple[tuple[str, ...], tf.Variable]]:
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


def _flat(name: str, weight: Array) -> Array:
    """A kernel [D, H, C] or, of an output, [H, C, D] as [D, D]."""
    if weight.ndim < 3:
        return weight
    if "attention_output" in name:
        return weight.reshape(-1, weight.shape[-1])
    return weight.reshape(weight.shape[0], -1)


def _deep(name: str, weight: Array, heads: int) -> Array:
    """The other way round."""
    if "attention" not in name or not name.endswith("/kernel"):
        return weight
    width = weight.shape[0]
    if "attention_output" in name:
        return weight.reshape(heads, width // heads, width)
    return weight.reshape(width, heads, width // heads)
