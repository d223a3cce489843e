"""Configuration of reading: spans, splits and the quarantine."""

from __future__ import annotations

from dataclasses import dataclass

from babelrank.components.config import option
from babelrank.components.errors import ConfigError

TRAIN, EVAL, TEST = "train", "eval", "test"
SPLITS = (TRAIN, EVAL, TEST)
ROW, TIME = "row", "time"


@dataclass(frozen=True, kw_only=True)
class IngestConfig:
    """How input files become examples."""

    max_bad_fraction: float = option(
        0.01, "The run stops when a larger fraction of the rows is bad."
    )
    compression_level: int = option(1, "gzip level of the examples, 1 (fast) to 9 (small).")
    rows_per_file: int = option(500_000, "A new file of examples is begun after so many rows.")

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad_fraction <= 1:
            raise ConfigError(f"max_bad_fraction: got {self.max_bad_fraction}; takes 0 to 1.")
        if not 1 <= self.compression_level <= 9:
            raise ConfigError(f"compression_level: got {self.compression_level}; takes 1 to 9.")
        if self.rows_per_file < 1:
            raise ConfigError(f"rows_per_file: got {self.rows_per_file}; takes 1 or more.")


@dataclass(frozen=True, kw_only=True)
class SpansConfig:
    """Which spans a run reads."""

    window: int = option(1, "Number of newest spans that are read together (a rolling window).")
    span: int | None = option(None, "Newest span to read; null: the newest complete one.")
    marker: str | None = option(
        None, "A span is complete only when its folder holds a file of this name (_SUCCESS)."
    )
    exclude: tuple[int, ...] = option((), "Spans that are never read, such as a poisoned day.")

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"window: got {self.window}; takes 1 or more.")


@dataclass(frozen=True, kw_only=True)
class SplitsConfig:
    """How rows are divided into train, eval and test."""

    by: str = option(
        ROW,
        "time: the latest rows are test, those before them eval; row: at random; any other "
        "word is a column: all rows with the same value are on one side.",
    )
    eval: float = option(0.1, "Fraction of the rows for eval (early stopping).")
    test: float = option(0.1, "Fraction for test (the gate); 0: the gate uses eval.")
    eval_path: str | None = option(None, "Files that are the eval split, in place of a fraction.")
    test_path: str | None = option(None, "Files that are the test split, in place of a fraction.")

    def __post_init__(self) -> None:
        for name in ("eval", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 0 <= x < 1.")
        if self.eval + self.test >= 1:
            raise ConfigError(f"eval + test: got {self.eval + self.test}; takes less than 1.")
        if self.eval == 0 and self.eval_path is None:
            raise ConfigError("eval: got 0; training needs an eval split (or eval_path).")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the splits that there will be."""
        return SPLITS if self.test or self.test_path else (TRAIN, EVAL)

    @property
    def gate(self) -> str:
        """Name of the split that the gate judges by."""
        return self.names[-1]
