"""Configuration of the translation task: its data, its vocabulary and its model.

Imports neither TensorFlow nor Beam, so that the command line answers at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from babelrank.components.config import option, required, section
from babelrank.components.errors import ConfigError
from babelrank.components.ingest import config as ingest
from babelrank.components.training.config import OptimizerConfig, TrainingConfig

FORMATS = ("tsv", "csv", "moses", "tmx", "po", "jsonl", "parquet")
_TWO_LETTERS = {
    "cmn": "zh",
    "zho": "zh",
    "yue": "zh",
    "jpn": "ja",
    "tha": "th",
    "lao": "lo",
    "khm": "km",
    "mya": "my",
    "bod": "bo",
    "dzo": "dz",
}
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "km", "my", "bo", "dz")
"""Languages that are written without spaces between words."""


def primary(language: str) -> str:
    """A language code without script and region, in two letters where there are two: `zh`."""
    code = language.replace("_", "-").split("-")[0].lower()
    return _TWO_LETTERS.get(code, code)


@dataclass(frozen=True, kw_only=True)
class SideConfig:
    """One side of the parallel text. A bare language code stands for `{language: CODE}`."""

    language: str = required("Language code, such as en, pt_BR, zh-Hans.", "en")
    column: str | int | None = option(
        None,
        "tsv, csv: number (from 0, the file has no header) or name (it has one) of the column; "
        "jsonl, parquet: its name. null: 0 for the source and 1 for the target, or the language.",
    )
    path: str | None = option(None, "moses: the file of this side, one sentence a line, or a glob.")

    def __post_init__(self) -> None:
        if not self.language.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"language: got {self.language!r}; takes a code such as en or pt_BR.")
        if isinstance(self.column, int) and self.column < 0:
            raise ConfigError(f"column: got {self.column}; takes 0 or more, or a name.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `source: en` into `source: {language: en}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a language code or a mapping.")
        return {"language": value}

    @property
    def primary(self) -> str:
        """The language without script and region: `zh` of `zh-Hans`."""
        return primary(self.language)

    @property
    def spaced(self) -> bool:
        """True when words of the language are separated by spaces."""
        return self.primary not in WITHOUT_SPACES


@dataclass(frozen=True, kw_only=True)
class CleaningConfig:
    """Which pairs are refused; each rule has a name, a count and a quarantine reason."""

    max_characters: int = option(1000, "Longest side, in characters (too_long).")
    max_length_ratio: float | None = option(
        6.0,
        "Largest ratio of the sides' lengths in characters, over what is usual between the two "
        "languages' scripts (length_ratio); null: any.",
    )
    min_ratio_characters: int = option(
        20, "The ratio is looked at when the longer side has so many characters."
    )
    identical: Literal["keep", "quarantine"] = option(
        "quarantine", "Pairs whose sides are the same text (identical)."
    )
    duplicates: Literal["keep", "drop"] = option(
        "drop", "Second and later occurrences of a pair (duplicate), counted as dropped."
    )
    max_wrong_script: float | None = option(
        0.5,
        "Largest share of letters outside the language's scripts (wrong_script); null: any.",
    )

    def __post_init__(self) -> None:
        if self.max_characters < 1:
            raise ConfigError(f"max_characters: got {self.max_characters}; takes 1 or more.")
        if self.max_length_ratio is not None and self.max_length_ratio < 1:
            raise ConfigError(f"max_length_ratio: got {self.max_length_ratio}; takes 1 or more.")
        if self.max_wrong_script is not None and not 0 <= self.max_wrong_script <= 1:
            raise ConfigError(f"max_wrong_script: got {self.max_wrong_script}; takes 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The parallel text: its files, its format and where the two sides are."""

    path: str | None = option(
        None,
        "Files: a path or glob; {SPAN}, {VERSION} and {YYYY}{MM}{DD} are resolved. Not for moses, "
        "whose files stand under source and target.",
    )
    format: Literal["tsv", "csv", "moses", "tmx", "po", "jsonl", "parquet"] = option(
        "tsv", "Format of the files; .gz, .xz and .zst are recognised by name."
    )
    source: SideConfig = required("What is translated.", {"language": "en", "column": 0})
    target: SideConfig = required("What it is translated into.", {"language": "de", "column": 1})
    cleaning: CleaningConfig = section(CleaningConfig, "Which pairs are refused.")

    def __post_init__(self) -> None:
        sides = {"source": self.source, "target": self.target}
        if self.format == "moses":
            for name, side in sides.items():
                if side.path is None:
                    raise ConfigError(f"{name}.path: missing; format: moses has a file a side.")
            if self.path is not None:
                raise ConfigError("path: format: moses takes source.path and target.path instead.")
            return
        if self.path is None:
            raise ConfigError("path: missing; takes a file or a glob.")
        for name, side in sides.items():
            if side.path is not None:
                raise ConfigError(f"{name}.path: only format: moses has a file a side.")
        if self.format in ("tsv", "csv"):
            kinds = {type(column) for column in self.columns}
            if len(kinds) > 1:
                raise ConfigError(
                    f"source.column, target.column: got {self.columns[0]!r} and "
                    f"{self.columns[1]!r}; take two numbers (no header) or two names (a header)."
                )
        if self.format in ("tmx", "po") and (self.source.column or self.target.column):
            raise ConfigError(f"column: format: {self.format} has no columns.")

    @property
    def columns(self) -> tuple[str | int, str | int]:
        """Where source and target stand in a row."""
        numbered = self.format in ("tsv", "csv")
        source, target = self.source.column, self.target.column
        if source is None:
            source = 0 if numbered else self.source.language
        if target is None:
            target = 1 if numbered else self.target.language
        return source, target


@dataclass(frozen=True, kw_only=True)
class TextIngestConfig(ingest.IngestConfig):
    """How parallel text becomes examples."""

    max_bad_fraction: float = option(
        0.2,
        "The run stops when a larger fraction of the pairs is refused: a sign of a wrong column, "
        "language or rule, for real corpora are never quite clean.",
    )


@dataclass(frozen=True, kw_only=True)
class FilesConfig:
    """Files of an explicit split. A bare path stands for `{path: PATH}`."""

    path: str | None = option(None, "Files in the format of the data.")
    source: str | None = option(None, "File of source sentences, one a line.")
    target: str | None = option(None, "File of their translations, one a line.")

    def __post_init__(self) -> None:
        pair = self.source is not None and self.target is not None
        if pair == (self.path is not None) or (self.source is None) != (self.target is None):
            raise ConfigError("takes either path, or source and target.")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `eval: dev.tsv` into `eval: {path: dev.tsv}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a path or a mapping.")
        return {"path": value}


@dataclass(frozen=True, kw_only=True)
class ExplicitConfig:
    """Files that are a split, in place of a fraction."""

    eval: FilesConfig | None = option(None, "Files of the eval split.")
    test: FilesConfig | None = option(None, "Files of the test split.")


@dataclass(frozen=True, kw_only=True)
class SplitsConfig:
    """How pairs are divided into train, eval and test."""

    by: Literal["source"] = option(
        "source", "source: by a hash of the source sentence, so that none stands on two sides."
    )
    eval: float = option(0.02, "Fraction of the source sentences for eval (early stopping).")
    test: float = option(0.02, "Fraction for test (the gate); 0: the gate uses eval.")
    explicit: ExplicitConfig = section(ExplicitConfig, "Files in place of the fractions.")

    def __post_init__(self) -> None:
        for name in ("eval", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 <= x < 1.")
        if self.eval + self.test >= 1:
            raise ConfigError(f"eval + test: got {self.eval + self.test}; takes less than 1.")
        if self.eval == 0 and self.explicit.eval is None:
            raise ConfigError("eval: got 0; training needs an eval split (or explicit.eval).")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the splits that there will be."""
        return ingest.SPLITS if self.test or self.explicit.test else ingest.SPLITS[:2]

    @property
    def gate(self) -> str:
        """Name of the split that the gate judges by."""
        return self.names[-1]


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """The subwords that text is cut into (SentencePiece; ids: padding 0, end 1, unknown 2)."""

    size: int = option(8000, "Number of subwords, the three special ones included.")
    shared: bool = option(True, "One vocabulary for both languages, or one for each.")
    model: Literal["unigram", "bpe"] = option("unigram", "Kind of subword model.")
    character_coverage: float = option(
        0.9995,
        "Share of the characters in the text that the subwords cover at least; more are covered "
        "while they take up a quarter of the vocabulary or less. Others are unknown.",
    )
    protected: tuple[str, ...] = option(
        (), "Texts that are never cut, such as placeholders, each one subword."
    )
    reuse: Literal["never", "latest"] = option(
        "never", "latest: keep the vocabulary of the last blessed model, when there is one."
    )
    max_sentences: int = option(
        2_000_000, "Sentences to learn from, a side, where words are not separated by spaces."
    )

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ConfigError(f"size: got {self.size}; takes 16 or more.")
        if not 0.9 <= self.character_coverage <= 1:
            raise ConfigError(f"character_coverage: got {self.character_coverage}; takes 0.9 to 1.")


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
        None, "The learning rate rises linearly over so many steps; null: a tenth, at most 1000."
    )
    decay: Literal["constant", "cosine", "linear"] = option(
        "cosine", "How the learning rate falls after the warm-up, to 0 at the last step."
    )
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
    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "Arithmetic; auto: bfloat16 where the processor has it, weights stay float32."
    )

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
