"""Small Transformers, and what the Model Garden 2.16 computes with given weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelrank.components.translation.model import Transformer, build_transformer
from babelrank.components.translation.model_config import EncDecoder, ModelConfig
from babelrank.components.translation.model_garden import carry_over

REFERENCE = Path(__file__).parent / "model_garden.npz"
"""Ids, weights, logits, loss and translations of two trained models, with the norms first and
last; written by the Model Garden itself."""


def small_config(**changes: Any) -> ModelConfig:
    """16 wide, 1 + 1 layers, 2 heads, 32 inside, no dropout.

    Changes may name fields of `ModelConfig` and of `EncDecoder`; the latter go to both stacks.
    """
    rates = ("dropout_rate", "attention_dropout_rate", "intermediate_dropout")
    stack: dict[str, Any] = {"num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    whole: dict[str, Any] = {"embedding_width": 16, "dropout_rate": 0.0}
    stack |= dict.fromkeys(rates, 0.0)
    stack |= {n: v for n, v in changes.items() if n in EncDecoder.__dataclass_fields__}
    whole |= {n: v for n, v in changes.items() if n in ModelConfig.__dataclass_fields__}
    both = EncDecoder(**stack)
    return ModelConfig(**{"encoder": both, "decoder": both, **whole})


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray[Any, Any]]:
    """The Model Garden's numbers by name."""
    with np.load(REFERENCE) as saved:
        return dict(saved)


@pytest.fixture(scope="session", params=["pre", "post"])
def garden(
    request: pytest.FixtureRequest, reference: dict[str, np.ndarray[Any, Any]]
) -> tuple[Transformer, dict[str, np.ndarray[Any, Any]]]:
    """Our model with the Model Garden's weights, and what that computes with them."""
    prefix = request.param + "/"
    theirs = {n.removeprefix(prefix): v for n, v in reference.items() if n.startswith(prefix)}
    config = small_config(norm_first=request.param == "pre", decode_max_length=12)
    model = build_transformer(config, 32, 32, precision="float32")
    weights = {n.removeprefix("weights/"): v for n, v in theirs.items() if n.startswith("weights/")}
    carry_over(weights, model)
    inputs = {"inputs": reference["inputs"], "targets": reference["targets"]}
    return model, {**theirs, **inputs}
