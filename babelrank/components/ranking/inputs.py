"""Which files a click log is read from: the log's, those of explicit splits, joined tables."""

from __future__ import annotations

from babelrank.components.ingest.config import EVAL, TEST, SplitsConfig
from babelrank.components.ingest.spans import Inputs
from babelrank.components.ranking.config import DataConfig


def inputs(data: DataConfig, splits: SplitsConfig) -> list[Inputs]:
    """The files of the log, and those of explicit splits."""
    found = [Inputs(path=data.path)]
    for split, path in ((EVAL, splits.eval_path), (TEST, splits.test_path)):
        if path:
            found.append(Inputs(path=path, split=split, keys=(f"splits.{split}_path",)))
    return found


def joined(data: DataConfig) -> list[str]:
    """The files of joined tables."""
    return [join.path for join in data.joins]
