"""Writing the examples of one input file: one TFRecord file (or several) for each split."""

from __future__ import annotations

import os
from collections import Counter
from types import TracebackType
from typing import Any

import pyarrow as pa
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx_bsl.cc.tfx_bsl_extension.coders import RecordBatchToExamplesEncoder


class ExampleWriter:
    """Writes record batches of lists as gzipped TFRecord files of `tf.Example`.

    Files have a temporary name until `close`, so that a retried work item leaves neither
    halves nor duplicates. Use as a context manager: an error removes what was written.

    Args:
        folders: Folder of each split.
        part: Number of the input file; it names the output files.
        compression_level: gzip level.
        rows_per_file: A new file is begun after so many rows.
    """

    def __init__(
        self, folders: dict[str, str], part: int, compression_level: int, rows_per_file: int
    ) -> None:
        self.written: Counter[str] = Counter()
        self._folders = folders
        self._part = part
        self._rows_per_file = rows_per_file
        self._options = tf.io.TFRecordOptions("GZIP", compression_level=compression_level)
        self._encoder = RecordBatchToExamplesEncoder(None)
        self._open: dict[str, tuple[Any, str, str]] = {}  # writer, temporary and final name

    def write(self, split: str, batch: pa.RecordBatch) -> None:
        """Writes the rows of a batch to a split."""
        if not batch.num_rows:
            return
        if split not in self._open:
            self._begin(split)
        writer = self._open[split][0]
        for example in self._encoder.Encode(batch):
            writer.write(example)
        before = self.written[split] // self._rows_per_file
        self.written[split] += batch.num_rows
        if self.written[split] // self._rows_per_file > before:
            self._end(split)

    def _begin(self, split: str) -> None:
        folder = self._folders[split]
        fileio.makedirs(folder)
        number = self.written[split] // self._rows_per_file
        name = f"data_tfrecord-{self._part:05d}-{number:05d}.gz"
        # The temporary name stands outside the split, where all files count as examples.
        temporary = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}-{name}")
        writer = tf.io.TFRecordWriter(temporary, self._options)
        self._open[split] = (writer, temporary, os.path.join(folder, name))

    def _end(self, split: str) -> None:
        writer, temporary, final = self._open.pop(split)
        writer.close()
        fileio.rename(temporary, final, overwrite=True)

    def __enter__(self) -> ExampleWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            for split in list(self._open):
                self._end(split)
            return
        for writer, temporary, _ in self._open.values():
            writer.close()
            fileio.remove(temporary)
        self._open.clear()
