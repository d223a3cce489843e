"""Configuration of reading and of the quarantine."""

from __future__ import annotations

from dataclasses import dataclass

from babelrank.components.config import option
from babelrank.components.errors import ConfigError


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
