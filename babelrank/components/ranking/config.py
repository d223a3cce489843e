"""Configuration of the ranking task: its data, its features, its model and its training.

Imports neither TensorFlow nor Beam, so that the command line answers at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from babelrank.components.config import option, required, section
from babelrank.components.errors import ConfigError
from babelrank.components.ingest.rules import parse_rule
from babelrank.components.training.config import OptimizerConfig, OptimizerName, TrainingConfig

_STEPS_PER_EPOCH = 300
_BATCH_SIZES = (64, 1024)


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Where the label comes from. A bare column name stands for `{column: NAME}`."""

    column: str = required("Column of the label.", "clicked")
    positive: str | None = option(
        None,
        "Rule that makes a value a click, such as '> 15', '>= 4', '= order', 'in cart, order'. "
        "Without it the column holds 0/1 or true/false (click) or a number (rating).",
    )
    missing: Literal["quarantine", "drop"] = option(
        "quarantine", "Rows without a label: quarantined as bad, or dropped (and counted)."
    )
    range: tuple[float, ...] = option(
        (), "Smallest and largest valid rating; others are quarantined. Empty: any finite number."
    )

    def __post_init__(self) -> None:
        if self.positive is not None:
            parse_rule(self.positive, "positive")
        if self.range and (len(self.range) != 2 or self.range[0] >= self.range[1]):
            raise ConfigError(f"range: got {list(self.range)}; takes [smallest, largest].")

    @classmethod
    def from_shorthand(cls, value: Any, key: str) -> dict[str, Any]:
        """Turns `label: clicked` into `label: {column: clicked}`."""
        if not isinstance(value, str):
            raise ConfigError(f"{key}: got {value!r}; takes a column name or a mapping.")
        return {"column": value}


@dataclass(frozen=True, kw_only=True)
class JoinConfig:
    """Columns looked up in a second file by a key (a left join; keys must be unique there)."""

    path: str = required("File with the columns to add, in any of the formats.", "movies.csv")
    key: str = required("Column that both files have.", "movieId")
    columns: tuple[str, ...] = required("Columns to add.", ["genres"])
    format: Literal["csv", "tsv", "jsonl", "parquet"] = option("csv", "Format of that file.")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The click log: its files, its format and the meaning of its columns."""

    path: str = required(
        "Files of the log: a path or glob; {SPAN}, {VERSION} and {YYYY}{MM}{DD} are resolved.",
        "logs/day={SPAN}/*.csv.gz",
    )
    format: Literal["csv", "tsv", "jsonl", "parquet", "tfrecord"] = option(
        "csv", "Format of the files; .gz, .bz2, .xz and .zst are recognised by name."
    )
    delimiter: str | None = option(
        None, "Field separator of csv and tsv, one or more characters; null: ',' or a tab."
    )
    column_names: tuple[str, ...] = option(
        (), "Names of the columns of csv and tsv files that have no header line."
    )
    missing_values: tuple[str, ...] = option(
        ("", "NA", "NaN", "nan", "null", "NULL", "\\N"),
        "Texts that mean 'no value' in numbers, label and timestamp; in categories only '' "
        "and \\N do.",
    )
    label: LabelConfig = required("Column of the label, or a mapping (see LabelConfig).", "clicked")
    objective: Literal["click", "rating"] = option(
        "click", "click: probability of a positive label; rating: a number."
    )
    weight: str | None = option(None, "Column of the sample weight (not negative).")
    timestamp: str | None = option(
        None, "Column of the time: ISO 8601, or epoch seconds, milliseconds or microseconds."
    )
    timestamp_format: str | None = option(
        None, "strptime format of the timestamp when it is neither ISO 8601 nor a number."
    )
    utc_offset_hours: float = option(
        0.0, "Hours added to UTC before hour and weekday are taken (local time of the users)."
    )
    categorical: tuple[str, ...] = option((), "Columns with one category each.")
    multivalent: dict[str, str] = option(
        {}, "Columns with several categories each, and the separator between them."
    )
    dense: tuple[str, ...] = option((), "Columns with a number each.")
    training_only: dict[str, Any] = option(
        {}, "Features known only in the log (such as position), and the value used in serving."
    )
    joins: tuple[JoinConfig, ...] = option((), "Files whose columns are added to every row.")
    keep_negatives: float = option(
        1.0,
        "Fraction of negative training rows that is kept; they are weighted by the "
        "inverse, so that the predicted probabilities stay calibrated.",
    )

    def __post_init__(self) -> None:
        if not self.features:
            raise ConfigError(
                "categorical: no features; name columns in categorical, multivalent or dense."
            )
        uses = [*self.categorical, *self.multivalent, *self.dense, self.label.column]
        uses += [name for name in (self.weight,) if name]
        twice = sorted(name for name, count in Counter(uses).items() if count > 1)
        if twice:
            raise ConfigError(
                f"categorical and so on: {', '.join(twice)} stands twice; give each "
                "column one role."
            )
        self._check_values()

    def _check_values(self) -> None:
        for name in self.training_only:
            if name not in (*self.categorical, *self.dense):
                raise ConfigError(
                    f"training_only.{name}: not a feature; takes one of "
                    f"{', '.join((*self.categorical, *self.dense))}."
                )
            value = self.training_only[name]
            if name in self.dense and not isinstance(value, int | float):
                raise ConfigError(f"training_only.{name}: got {value!r}; takes a number.")
            if name in self.categorical and not isinstance(value, int | str):
                raise ConfigError(f"training_only.{name}: got {value!r}; takes a category.")
        if not 0 < self.keep_negatives <= 1:
            raise ConfigError(f"keep_negatives: got {self.keep_negatives}; takes 0 < x <= 1.")
        if self.keep_negatives < 1 and self.objective != "click":
            raise ConfigError("keep_negatives: only for objective: click; takes 1.0 otherwise.")
        if self.objective == "rating" and self.label.positive is not None:
            raise ConfigError("label.positive: only for objective: click.")
        if self.label.range and self.objective != "rating":
            raise ConfigError("label.range: only for objective: rating.")
        for name, separator in self.multivalent.items():
            if not separator:
                raise ConfigError(f"multivalent.{name}: got ''; takes a separator, such as '|'.")
        if self.delimiter == "":
            raise ConfigError("delimiter: got ''; takes one or more characters.")

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all feature columns, in the order of the configuration."""
        return (*self.categorical, *self.multivalent, *self.dense)


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """How categories become ids. Everything not kept shares the out-of-vocabulary ids."""

    min_frequency: int = option(1, "Categories seen less often in train are out of vocabulary.")
    max_size: int = option(1_000_000, "At most so many categories are kept, the commonest.")
    oov_buckets: int = option(1, "Ids for unknown categories, chosen by hash.")
    hash_buckets: int | None = option(
        None, "Hash categories into so many ids instead of learning a vocabulary."
    )

    def __post_init__(self) -> None:
        for name in ("min_frequency", "max_size", "oov_buckets"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 1 or more.")
        if self.hash_buckets is not None and self.hash_buckets < 2:
            raise ConfigError(f"hash_buckets: got {self.hash_buckets}; takes 2 or more.")


@dataclass(frozen=True, kw_only=True)
class TransformConfig:
    """How raw columns become model inputs. All statistics come from the train split."""

    vocabulary: VocabularyConfig = section(VocabularyConfig, "For every categorical feature.")
    vocabularies: dict[str, VocabularyConfig] = option(
        {}, "By feature, in place of `vocabulary`, such as {user_id: {hash_buckets: 100000}}."
    )
    dense: Literal["zscore", "log_zscore", "log", "bucketize", "none"] = option(
        "zscore", "What happens to dense features; log is sign(x) * log(1 + |x|)."
    )
    dense_by_feature: dict[str, Literal["zscore", "log_zscore", "log", "bucketize", "none"]] = (
        option({}, "By feature, in place of `dense`.")
    )
    buckets: int = option(10, "Number of quantile buckets of bucketize.")
    time_features: tuple[Literal["hour", "weekday"], ...] = option(
        (), "Categories taken from the timestamp."
    )
    max_values: int = option(50, "A multivalent feature keeps at most its first so many values.")

    def __post_init__(self) -> None:
        if self.buckets < 2:
            raise ConfigError(f"buckets: got {self.buckets}; takes 2 or more.")
        if self.max_values < 1:
            raise ConfigError(f"max_values: got {self.max_values}; takes 1 or more.")
        if len(set(self.time_features)) < len(self.time_features):
            raise ConfigError(f"time_features: got {list(self.time_features)}; takes each once.")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The ranking network: embeddings and bottom MLP, an interaction, a top MLP."""

    preset: Literal["tiny", "small", "base", "big"] | None = option(
        None, "Sizes in one word; the keys below override it."
    )
    interaction: Literal["dot", "cross"] = option(
        "dot", "dot: DLRM; cross: DCN v2 (low rank when cross_projection is set)."
    )
    embedding_dim: int | None = option(None, "Width of every embedding (preset: 16).")
    embedding_dims: dict[str, int] = option(
        {}, "Width by feature, in place of embedding_dim (cross only)."
    )
    combiner: Literal["mean", "sum", "sqrtn"] = option(
        "mean", "How the embeddings of a multivalent feature are combined."
    )
    bottom_stack: tuple[int, ...] | None = option(
        None, "Layer widths of the MLP over the dense features; the last is embedding_dim."
    )
    top_stack: tuple[int, ...] | None = option(
        None, "Layer widths of the MLP over the interactions; a final 1 is added."
    )
    cross_layers: int = option(3, "Number of cross layers.")
    cross_projection: int | None = option(None, "Rank of the cross layers; null: full rank.")
    concat_dense: bool = option(True, "Feed the bottom MLP's output to the top MLP too.")
    dropout: float = option(0.0, "Dropout in the top MLP.")
    embedding_l2: float = option(0.0, "L2 penalty on the embeddings that a batch uses.")

    def __post_init__(self) -> None:
        if self.embedding_dims and self.interaction == "dot":
            raise ConfigError("embedding_dims: only for interaction: cross; dot needs one width.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: got {self.dropout}; takes 0 <= x < 1.")
        for name in ("cross_layers", "embedding_dim", "cross_projection"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more.")
        for name in ("bottom_stack", "top_stack"):
            widths = getattr(self, name) or ()
            if any(width < 1 for width in widths):
                raise ConfigError(f"{name}: got {list(widths)}; takes widths of 1 or more.")
        for name, dim in self.embedding_dims.items():
            if dim < 1:
                raise ConfigError(f"embedding_dims.{name}: got {dim}; takes 1 or more.")
        if self.embedding_l2 < 0:
            raise ConfigError(f"embedding_l2: got {self.embedding_l2}; takes 0 or more.")

    def resolved(self) -> ModelConfig:
        """This configuration with every size filled in from the preset (default `small`).

        An empty stack is no unset one: it stays empty.
        """
        sizes = _SIZES[self.preset or "small"]
        dim = self.embedding_dim or sizes[0]
        changed = {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "embedding_dim": dim,
            "bottom_stack": (*sizes[1], dim) if self.bottom_stack is None else self.bottom_stack,
            "top_stack": sizes[2] if self.top_stack is None else self.top_stack,
        }
        return ModelConfig(**changed)


# preset -> embedding width, bottom MLP (without its last layer), top MLP
_SIZES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "tiny": (8, (32,), (32,)),
    "small": (16, (64,), (128, 64)),
    "base": (16, (256, 64), (512, 256)),
    "big": (64, (512, 256), (1024, 512, 256)),
}


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptimizerConfig(OptimizerConfig):
    """Optimizer of the embedding tables."""

    name: OptimizerName = option("adagrad", "Optimizer.")
    learning_rate: float = option(0.05, "Peak learning rate.")


@dataclass(frozen=True, kw_only=True)
class RankingTrainingConfig(TrainingConfig):
    """How long, how fast and in what steps a ranking model is trained."""

    optimizer: OptimizerConfig = section(OptimizerConfig, "Optimizer of the dense variables.")
    embedding_optimizer: EmbeddingOptimizerConfig = section(
        EmbeddingOptimizerConfig, "Optimizer of the embedding tables."
    )
    batch_size: int | None = option(
        None,
        "Examples in a batch, over all devices; null: 64 to 1024, so that an epoch has some "
        "300 steps.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"batch_size: got {self.batch_size}; takes 1 or more.")
        for key in ("optimizer", "embedding_optimizer"):
            # Private training has one optimizer for all variables.
            if getattr(self, key).name == "adafactor" and self.privacy is None:
                raise ConfigError(
                    f"{key}.name: got adafactor, which cannot be one of two optimizers; takes sgd, "
                    f"adagrad, adam, adamw or rmsprop."
                )

    def batch_size_for(self, rows: int) -> int:
        """Examples in a batch of a train split of `rows` examples.

        Small data need small batches: with too few steps an embedding hardly leaves its start.
        """
        if self.batch_size is not None:
            return self.batch_size
        wanted = max(1, rows // _STEPS_PER_EPOCH)
        return min(max(1 << (wanted.bit_length() - 1), _BATCH_SIZES[0]), _BATCH_SIZES[1])
