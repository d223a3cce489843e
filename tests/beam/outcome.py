"""What a pipeline's steps left in its output folder, in a form in which two runners agree."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2


class Outcome:
    """The artifacts of one run.

    Args:
        out: The pipeline's output folder.
    """

    def __init__(self, out: Path) -> None:
        self._artifacts = out / "artifacts"

    def folder(self, node: str, output: str) -> Path:
        """The folder of an output of a node, which ran once."""
        (found,) = (self._artifacts / node / output).iterdir()
        return found

    def examples(self, node: str, output: str) -> dict[str, Counter[bytes]]:
        """The examples of each split, in no order."""
        found = {}
        for split in self.folder(node, output).glob("Split-*"):
            files = [str(path) for path in sorted(split.iterdir())]
            records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
            found[split.name] = Counter(map(_canonical, records))
        return found

    def files(self, node: str, output: str, pattern: str) -> dict[str, bytes]:
        """Contents of files, by their path."""
        folder = self.folder(node, output)
        found = folder.glob(pattern)
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    def vocabulary(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The subword models and their words, and the summary without what takes time."""
        files = self.files("SubwordVocabulary", "subwords", "*")
        summary = json.loads(files.pop("summary.json"))
        del summary["seconds"]
        return files, summary

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Of each split and feature: examples that have it, and its range or commonest values."""
        found: dict[str, dict[str, Any]] = {}
        for path in self.folder("StatisticsGen", "statistics").glob("*/FeatureStats.pb"):
            split = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
            found[path.parent.name] = {
                ".".join(feature.path.step): _figures(feature)
                for feature in split.datasets[0].features
            }
        return found


def _canonical(record: bytes) -> bytes:
    """An example in which names are sorted."""
    text: bytes = tf.train.Example.FromString(record).SerializeToString(deterministic=True)
    return text


def _figures(feature: statistics_pb2.FeatureNameStatistics) -> tuple[Any, ...]:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind)
    common = stats.common_stats.num_non_missing, stats.common_stats.tot_num_values
    if kind == "num_stats":
        return (*common, stats.min, stats.max, stats.median)
    return (*common, sorted((value.value, value.frequency) for value in stats.top_values))
