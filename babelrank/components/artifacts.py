"""Artifact types that TFX does not have."""

from tfx.types.artifact import Artifact


class Quarantine(Artifact):
    """Rows that an ExampleGen refused, with file, position, reason and raw text.

    The folder holds `quarantine-*.jsonl` (one JSON object a row: file, position, reason,
    detail, raw) and `summary.json` (rows read, written by split, quarantined and dropped by
    reason).
    """

    TYPE_NAME = "BabelRankQuarantine"


class Predictions(Artifact):
    """What a model says about rows, in the order of their files.

    The folder holds `predictions-NAME-*`, JSON lines (gzip) or Parquet, where NAME is made from
    the path of the input file. Each row holds its number in that file (`row`, or `line` of a text),
    the columns that are kept, and the answer (`score`; or `translation`, or `translations` and
    `scores`). The property `not_predicted` says why there are none.
    """

    TYPE_NAME = "BabelRankPredictions"


class SubwordModel(Artifact):
    """The subwords that both languages are cut into.

    The folder holds `source.model` and `target.model` (SentencePiece models; the same bytes when
    the two languages share one), `source.vocab.txt` and `target.vocab.txt` (one subword a line,
    in the order of their ids), and `summary.json` (settings and figures).
    """

    TYPE_NAME = "BabelRankSubwordModel"


class DriftMeasures(Artifact):
    """How far the features of the examples moved, and which of them moved too far.

    The folder holds `drift.json`, the JSON of a `DriftReport`.
    """

    TYPE_NAME = "BabelRankDrift"
