"""Configuration of the translation task's model, decoding and training.

Imports neither TensorFlow nor Beam, so that the command line answers at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from babelrank.components.config import option, section
from babelrank.components.errors import ConfigError
from babelrank.components.training.config import (
    DECAY,
    PRECISION,
    Decay,
    OptimizerConfig,
    Precision,
    TrainingConfig,
)


@dataclass(frozen=True)
class EncDecoder:
    """An encoder or a decoder: the Model Garden's fields and defaults."""

    num_layers: int = 6
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    activation: str = "relu"
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    intermediate_dropout: float = 0.1
    use_bias: bool = False
    norm_first: bool = True
    norm_epsilon: float = 1e-6

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dict."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ModelConfig:
    """A sequence to sequence model: the Model Garden's fields and defaults."""

    encoder: EncDecoder = dataclasses.field(default_factory=EncDecoder)
    decoder: EncDecoder = dataclasses.field(default_factory=EncDecoder)
    embedding_width: int = 512
    dropout_rate: float = 0.1
    padded_decode: bool = False
    decode_max_length: int | None = None
    beam_size: int = 4
    alpha: float = 0.6
    label_smoothing: float = 0.1

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dict."""
        return dataclasses.asdict(self)


_PRESETS: dict[str, dict[str, Any]] = {
    # width, layers, heads, inner width, dropout
    "tiny": {"width": 128, "layers": 2, "heads": 4, "inner_width": 512, "dropout": 0.1},
    "small": {"width": 256, "layers": 3, "heads": 4, "inner_width": 1024, "dropout": 0.1},
    "base": {"width": 512, "layers": 6, "heads": 8, "inner_width": 2048, "dropout": 0.1},
    "big": {"width": 1024, "layers": 6, "heads": 16, "inner_width": 4096, "dropout": 0.3},
}


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The Transformer. A bare preset stands for `{preset: NAME}`; null: as the preset has it."""

    preset: Literal["tiny", "small", "base", "big"] = option(
        "small", "tiny: 128 wide, 2 layers; small: 256, 3; base: 512, 6; big: 1024, 6."
    )
    width: int | None = option(None, "Width of embeddings and layers.")
    layers: int | None = option(None, "Layers of the encoder, and of the decoder.")
    decoder_layers: int | None = option(None, "Layers of the decoder, if others than `layers`.")
    heads: int | None = option(None, "Attention heads.")
    inner_width: int | None = option(None, "Width of the feed-forward layers.")
    activation: Literal["relu", "gelu", "swiglu"] = option("relu", "Of the feed-forward layers.")
    norm_first: bool = option(True, "Normalise before a layer (stable), or after it.")
    dropout: float | None = option(None, "Dropout of embeddings and of each layer's output.")
    attention_dropout: float | None = option(None, "Dropout of attention; null: `dropout`.")
    inner_dropout: float | None = option(None, "Dropout in feed-forward layers; null: `dropout`.")
    label_smoothing: float = option(0.1, "Label smoothing.")

    def __post_init__(self) -> None:
        values = self._values()
        if values["width"] % values["heads"]:
            raise ConfigError(
                f"heads: got {values['heads']}; takes a divisor of the width, {values['width']}."
            )
        for name in ("width", "layers", "decoder_layers", "heads", "inner_width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more.")
        for name in ("dropout", "attention_dropout", "inner_dropout", "label_smoothing"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"{name}: got {value}; takes 0 <= x < 1.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `model: small` into `model: {preset: small}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a preset or a mapping.")
        return {"preset": value}

    def _values(self) -> dict[str, Any]:
        preset = _PRESETS[self.preset]
        return {
            name: value if getattr(self, name) is None else getattr(self, name)
            for name, value in preset.items()
        }

    def resolved(self, decoding: DecodingConfig | None = None) -> ModelConfig:
        """The model in the Model Garden's terms."""
        decoding = decoding or DecodingConfig()
        values = self._values()
        dropout = values["dropout"]
        stack = EncDecoder(
            num_layers=values["layers"],
            num_attention_heads=values["heads"],
            intermediate_size=values["inner_width"],
            activation=self.activation,
            dropout_rate=dropout,
            attention_dropout_rate=_or(self.attention_dropout, dropout),
            intermediate_dropout=_or(self.inner_dropout, dropout),
            norm_first=self.norm_first,
        )
        return ModelConfig(
            encoder=stack,
            decoder=dataclasses.replace(stack, num_layers=self.decoder_layers or values["layers"]),
            embedding_width=values["width"],
            dropout_rate=dropout,
            padded_decode=decoding.static_shapes,
            decode_max_length=decoding.max_length,
            beam_size=decoding.beam_size,
            alpha=decoding.alpha,
            label_smoothing=self.label_smoothing,
        )


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How the exported model searches for translations."""

    beam_size: int = option(4, "Hypotheses kept at each step; 1 is greedy search.")
    alpha: float = option(0.6, "Length penalty: scores are divided by ((5 + length) / 6) ^ alpha.")
    max_length: int | None = option(
        None, "Longest translation in subwords; null: twice the source's and 20 more, at most 512."
    )
    static_shapes: bool = option(False, "Decode with fixed shapes, for TPUs; needs max_length.")

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ConfigError(f"beam_size: got {self.beam_size}; takes 1 or more.")
        if self.alpha < 0:
            raise ConfigError(f"alpha: got {self.alpha}; takes 0 or more.")
        if self.max_length is not None and self.max_length < 1:
            raise ConfigError(f"max_length: got {self.max_length}; takes 1 or more.")
        if self.static_shapes and self.max_length is None:
            raise ConfigError("static_shapes: needs max_length.")


@dataclass(frozen=True, kw_only=True)
class TranslationOptimizerConfig(OptimizerConfig):
    """The optimizer, with defaults for Transformers."""

    learning_rate: float = option(0.001, "Peak learning rate.")
    warmup_steps: int | None = option(
        None, "The learning rate rises over so many steps; null: a tenth, at most 1000."
    )
    decay: Decay = option("cosine", DECAY)
    clip_norm: float | None = option(1.0, "Clip the global norm of the gradients to this.")


@dataclass(frozen=True, kw_only=True)
class TranslationTrainingConfig(TrainingConfig):
    """How long, how fast and in what steps a translation model is trained."""

    tokens_per_batch: int = option(
        4096, "Subwords in a batch, of the longer side, padding included, over all devices."
    )
    max_length: int = option(
        128, "Pairs with a longer side, in subwords, are not trained on (and counted)."
    )
    optimizer: TranslationOptimizerConfig = section(TranslationOptimizerConfig, "The optimizer.")
    precision: Precision = option("auto", PRECISION)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tokens_per_batch", "max_length"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 1 or more.")
        if self.max_length > self.tokens_per_batch:
            raise ConfigError(
                f"max_length: got {self.max_length}; takes at most tokens_per_batch, "
                f"{self.tokens_per_batch}."
            )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
