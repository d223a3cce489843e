"""Configuration of predictions for whole files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option
from babelrank.components.errors import ConfigError

TEXT, TFRECORD = "text", "tfrecord"
ROW, LINE = "row", "line"
"""Output columns: number of the row of a table or record, or of the line, in its file, from 1."""

_ENDINGS = {
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "tfrecord": TFRECORD,
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_NO_TFRECORD = (".bz2", ".xz", ".zst")


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How files become predictions."""

    format: Literal["csv", "tsv", "jsonl", "parquet", "tfrecord", "text"] | None = option(
        None,
        "Format of the files; null: as their names end (.csv, .tsv, .jsonl, .parquet, .tfrecord), "
        "and text for a translation model.",
    )
    delimiter: str | None = option(None, "csv, tsv: between the columns, if it is another one.")
    column_names: tuple[str, ...] = option((), "csv, tsv: of files without a header.")
    keep: tuple[str, ...] = option((), "Columns that are written beside each prediction, as texts.")
    nbest: int | None = option(None, "Translation: the N best of each line, with their scores.")
    batch_size: int | None = option(
        None, "Rows that go through the model together; null: 1024 rows, 64 lines."
    )
    rows_per_shard: int | None = option(
        None,
        "A new file of predictions is begun after about so many rows, and what an interruption "
        "costs at the most; null: 200,000 rows, 5,000 lines.",
    )
    output: Literal["jsonl", "parquet"] = option(
        "jsonl", "Predictions as JSON lines (gzip) or as Parquet."
    )
    max_characters: int = option(10_000, "Texts that are longer go to the quarantine.")
    workers: int = option(
        1,
        "Workers that Beam has: where they are more than files, several share a file, and each of "
        "them reads it whole.",
    )
    max_bad_fraction: float = option(
        0.01, "It is an error when a larger fraction of the rows is bad; the others are predicted."
    )

    def __post_init__(self) -> None:
        for name in ("nbest", "batch_size", "rows_per_shard", "max_characters", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}; takes 1 or more.")
        if not 0 <= self.max_bad_fraction <= 1:
            raise ConfigError(f"max_bad_fraction: got {self.max_bad_fraction}; takes 0 to 1.")
        twice = [name for name in self.keep if self.keep.count(name) > 1]
        if twice:
            raise ConfigError(f"keep: {twice[0]} stands twice.")

    def check(self, task: str, outputs: tuple[str, ...]) -> None:
        """Checks what depends on the model.

        Args:
            task: `ranking` or `translation`.
            outputs: The columns that are written anyway.

        Raises:
            ConfigError: A setting means nothing to this model.
        """
        if task == "translation":
            if self.format not in (None, TEXT, TFRECORD):
                raise ConfigError(
                    f"format: got {self.format}; a translation model takes {TEXT} or {TFRECORD}."
                )
            if self.keep and self.format == TEXT:
                raise ConfigError("keep: lines of text have no columns.")
        else:
            if self.format == TEXT:
                raise ConfigError(f"format: got {TEXT}; a {task} model takes rows of columns.")
            if self.nbest is not None:
                raise ConfigError(f"nbest: this is a {task} model; takes a translation model.")
        for name in self.keep:
            if name in outputs:
                raise ConfigError(f"keep: {name} is the name of an output; rename the column.")

    def format_of(self, path: str, task: str) -> str:
        """The format of a file.

        Raises:
            ConfigError: Its name does not say, or it cannot be read so.
        """
        found = self.format or self._by_name(path, task)
        if found == TFRECORD and path.lower().endswith(_NO_TFRECORD):
            raise ConfigError(f"{path}: takes TFRecord files that are plain or gz; unpack it.")
        if found == TEXT and self.keep:
            raise ConfigError(f"keep: {path} holds lines of text, which have no columns.")
        return found

    def _by_name(self, path: str, task: str) -> str:
        name = path.lower()
        for ending in _COMPRESSED:
            name = name.removesuffix(ending)
        found = _ENDINGS.get(name.rpartition(".")[2])
        if task == "translation":
            return TFRECORD if found == TFRECORD else TEXT
        if found is None:
            raise ConfigError(
                f"{path}: its name does not tell its format; set format to one of "
                f"{', '.join(dict.fromkeys(_ENDINGS.values()))}."
            )
        return found
