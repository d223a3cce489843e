"""Artifact types that TFX does not have."""

from tfx.types.artifact import Artifact


class Quarantine(Artifact):
    """Rows that an ExampleGen refused, with file, position, reason and raw text.

    The folder holds `quarantine-*.jsonl` (one JSON object a row: file, position, reason,
    detail, raw) and `summary.json` (rows read, written by split, quarantined and dropped by
    reason).
    """

    TYPE_NAME = "BabelRankQuarantine"
