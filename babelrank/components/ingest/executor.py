"""The Beam part of an ExampleGen: every input file is read, encoded and written in one go.

No row crosses a shuffle: one work item is one file, and each worker writes that file's share
of every split itself. With `splits.by: time`, a first pass over the files counts the rows of
each second.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.metrics import Metrics
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from babelrank.components.config import from_dict
from babelrank.components.ingest import splits
from babelrank.components.ingest.blocks import BadRow, Block, Rows, arrow_errors
from babelrank.components.ingest.config import (
    ROW,
    SPLITS,
    TIME,
    TRAIN,
    IngestConfig,
    SplitsConfig,
)
from babelrank.components.ingest.spans import InputFile
from babelrank.components.ingest.splits import Splitter
from babelrank.components.ingest.summary import Summary, quarantine_line, total
from babelrank.components.ingest.writer import ExampleWriter
from babelrank.components.remote import own_errors

EXAMPLES, QUARANTINE = "examples", "quarantine"
FILES, SPANS = "files", "spans"


class Source(Protocol):
    """What a task knows about its rows; made anew in every worker."""

    def blocks(self, file: InputFile) -> Iterator[Block]:
        """The blocks of a file."""

    def read(self, block: Block) -> Rows:
        """Rows of a block as features."""

    def seconds(self, rows: Rows) -> npt.NDArray[np.int64]:
        """[M] epoch seconds of rows (only asked for with `splits.by: time`)."""

    def keys(self, block: Block, rows: Rows, column: str) -> npt.NDArray[np.uint64]:
        """[M] hashes of the column that rows are split by."""

    def thin(
        self, batch: pa.RecordBatch, keys: npt.NDArray[np.uint64]
    ) -> tuple[pa.RecordBatch, Counter[str]]:
        """Train rows that are kept, and how many are dropped on purpose, by reason."""


@dataclass(frozen=True)
class Plan:
    """All that a worker must know; small and picklable.

    Attributes:
        make_source: Makes the task's source.
        splitter: The split rule.
        config: How to write.
        folders: Folder of each split.
        quarantine: Folder of the quarantine.
    """

    make_source: Callable[[], Source]
    splitter: Splitter
    config: IngestConfig
    folders: dict[str, str]
    quarantine: str


class IngestExecutor(base_beam_executor.BaseBeamExecutor, abc.ABC):
    """Base of the ExampleGen executors. TFX's own reshuffles every example; this does not."""

    @abc.abstractmethod
    def make_source(self, config: dict[str, Any]) -> Callable[[], Source]:
        """A picklable function that makes the task's source."""

    def split_config(self, config: dict[str, Any]) -> SplitsConfig:
        """The split rule; a task whose configuration has another one translates it."""
        return from_dict(SplitsConfig, config["splits"], "splits")

    @contextlib.contextmanager
    def prepared(
        self, config: dict[str, Any], files: list[InputFile], folder: str
    ) -> Iterator[Callable[[], Source]]:
        """The source that rows are read with, for as long as they are read.

        A task that must look at all files before it can judge a row does so here.

        Args:
            config: The component's configuration.
            files: All files.
            folder: A folder that all workers see, for what it must remember meanwhile.
        """
        yield self.make_source(config)

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the files that the driver found into the splits and the quarantine.

        Raises:
            InputError: A file cannot be read, or a split would have no rows.
            BadRowsError: Too many rows are bad.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = json.loads(exec_properties["config"])
        split_config = self.split_config(config)
        ingest = from_dict(IngestConfig, config["ingest"], "ingest")
        files = [InputFile(**file) for file in json.loads(exec_properties[FILES])]
        spans = json.loads(exec_properties[SPANS])
        examples = artifact_utils.get_single_instance(output_dict[EXAMPLES])
        quarantine = artifact_utils.get_single_instance(output_dict[QUARANTINE])
        examples.split_names = artifact_utils.encode_split_names(list(split_config.names))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        folders = {
            name: artifact_utils.get_split_uri([examples], name) for name in split_config.names
        }
        with self.prepared(config, files, os.path.join(quarantine.uri, ".prepared")) as source:
            splitter = self.splitter(split_config, spans, files, source, quarantine.uri)
            summary = self._run(files, Plan(source, splitter, ingest, folders, quarantine.uri))
        fileio.makedirs(quarantine.uri)
        _write_text(os.path.join(quarantine.uri, Summary.FILE), summary.to_json())
        summary.check_bad_fraction(ingest.max_bad_fraction)
        summary.check_balance()
        summary.check_spans(spans)
        splits.check_rows(dict(summary.written), split_config.names)

    def each_file(
        self, label: str, files: list[InputFile], do: beam.DoFn, folder: str
    ) -> Iterator[str]:
        """Lets workers do something with (number, file), and yields the texts they left.

        They leave them by `leave_part`; they come in the order of the files.
        """
        with own_errors(), self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(list(enumerate(files)))
                | "Spread" >> beam.Reshuffle()
                | label >> beam.ParDo(do)
            )
        return _take_parts(folder)

    def _run(self, files: list[InputFile], plan: Plan) -> Summary:
        """Reads and writes all files; returns what happened to their rows."""
        folder = os.path.join(plan.quarantine, ".parts")
        parts = self.each_file("Ingest", files, _IngestFile(plan, folder), folder)
        return total(Summary.from_json(text) for text in parts)

    def splitter(
        self,
        config: SplitsConfig,
        spans: list[int],
        files: list[InputFile],
        source: Callable[[], Source],
        folder: str,
    ) -> Splitter:
        """The rule that assigns rows to splits; `by: time` counts rows for it."""
        whole_span = spans[-1] if len(spans) > 1 and config.test and not config.test_path else None
        eval_fraction = 0.0 if config.eval_path else config.eval
        test_fraction = 0.0 if config.test_path or whole_span is not None else config.test
        rule = Splitter(config.by, eval_fraction, test_fraction, test_span=whole_span)
        if config.by != TIME or not eval_fraction + test_fraction:
            return rule
        counted = [f for f in files if not f.split and f.span != whole_span]
        seconds, counts = self._count_times(counted, source, os.path.join(folder, ".times"))
        bounds = splits.time_bounds(seconds, counts, eval_fraction, test_fraction)
        return Splitter(config.by, eval_fraction, test_fraction, *bounds, test_span=whole_span)

    def _count_times(
        self, files: list[InputFile], source: Callable[[], Source], folder: str
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Distinct seconds of all good rows, rising, and the number of rows at each."""
        counts: Counter[int] = Counter()
        for text in self.each_file("CountTimes", files, _CountTimes(source, folder), folder):
            counts.update({int(second): n for second, n in json.loads(text).items()})
        seconds = np.array(sorted(counts), np.int64)
        return seconds, np.array([counts[int(s)] for s in seconds], np.int64)


class _CountTimes(beam.DoFn):
    """(number, file) -> nothing; writes the number of good rows at each second."""

    def __init__(self, make_source: Callable[[], Source], folder: str) -> None:
        self._make_source = make_source
        self._folder = folder

    def setup(self) -> None:
        self._source = self._make_source()

    def process(self, element: tuple[int, InputFile]) -> None:
        number, file = element
        counts: Counter[int] = Counter()
        with arrow_errors(file.path):
            for block in self._source.blocks(file):
                seconds = self._source.seconds(self._source.read(block))
                values, times = np.unique(seconds, return_counts=True)
                counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        leave_part(self._folder, number, json.dumps(counts))


class _IngestFile(beam.DoFn):
    """(number, file) -> nothing; writes the file's examples, bad rows and summary."""

    def __init__(self, plan: Plan, folder: str) -> None:
        self._plan = plan
        self._folder = folder

    def setup(self) -> None:
        self._source = self._plan.make_source()

    def process(self, element: tuple[int, InputFile]) -> None:
        number, file = element
        plan = self._plan
        summary = Summary()
        bad_rows = os.path.join(plan.quarantine, f"quarantine-{number:05d}.jsonl")
        lines = None
        with contextlib.ExitStack() as stack:
            writer = stack.enter_context(
                ExampleWriter(
                    plan.folders, number, plan.config.compression_level, plan.config.rows_per_file
                )
            )
            for block in self._blocks(file):
                for row in self._ingest(block, file, writer, summary):
                    summary.add_bad(file.path, row)
                    if lines is None:
                        fileio.makedirs(plan.quarantine)
                        lines = stack.enter_context(fileio.open(bad_rows + ".tmp", "w"))
                    line = quarantine_line(file.path, row)
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        summary.written = writer.written
        if lines is not None:
            fileio.rename(bad_rows + ".tmp", bad_rows, overwrite=True)
        leave_part(self._folder, number, summary.to_json())
        _count(summary)

    def _blocks(self, file: InputFile) -> Iterator[Block]:
        with arrow_errors(file.path):
            yield from self._source.blocks(file)

    def _ingest(
        self, block: Block, file: InputFile, writer: ExampleWriter, summary: Summary
    ) -> list[BadRow]:
        """Writes one block; returns its bad rows."""
        with arrow_errors(file.path):
            rows = self._source.read(block)
            keys = splits.row_keys(file.path, block.first_row, rows.index)
            assigned = self._assign(block, rows, file, keys)
        summary.read += block.rows
        summary.spans[str(file.span)] += block.rows
        summary.dropped.update(rows.dropped)
        summary.counts.update(rows.counts)
        for i, name in enumerate(SPLITS):
            chosen = np.flatnonzero(assigned == i)
            batch = rows.take(chosen)
            if name == TRAIN:
                batch, dropped = self._source.thin(batch, keys[chosen])
                summary.dropped.update(dropped)
            writer.write(name, batch)
        located = block.locate([index for index, _, _ in rows.bad]) if rows.bad else []
        return block.bad + [
            BadRow(location, reason, detail)
            for location, (_, reason, detail) in zip(located, rows.bad, strict=True)
        ]

    def _assign(
        self, block: Block, rows: Rows, file: InputFile, keys: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.int8]:
        if file.split:
            return np.full(len(keys), SPLITS.index(file.split), np.int8)
        rule = self._plan.splitter
        if rule.by == TIME:
            return rule.assign(file.span, self._source.seconds(rows), keys)
        if rule.by != ROW:
            keys = self._source.keys(block, rows, rule.by)
        return rule.assign(file.span, np.zeros(len(keys), np.int64), keys)


def files_property(files: tuple[InputFile, ...]) -> str:
    """The files as the execution property that `IngestExecutor.Do` reads."""
    return json.dumps([asdict(file) for file in files])


def _count(summary: Summary) -> None:
    """Beam counters of one file's rows, for whoever watches the Beam runner."""
    counters = {"rows_read": summary.read}
    counters |= {f"rows_{split}": n for split, n in summary.written.items()}
    counters |= {f"quarantined_{reason}": n for reason, n in summary.quarantined.items()}
    counters |= {f"dropped_{reason}": n for reason, n in summary.dropped.items()}
    for name, value in counters.items():
        Metrics.counter("babelrank.ingest", name).inc(value)


def _write_text(path: str, text: str) -> None:
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path + ".tmp", "w") as file:
        file.write(text)
    fileio.rename(path + ".tmp", path, overwrite=True)


def leave_part(folder: str, number: int, text: str) -> None:
    """What a worker of `IngestExecutor.each_file` found in the file of that number."""
    _write_text(os.path.join(folder, f"part-{number:05d}.json"), text)


def _take_parts(folder: str) -> Iterator[str]:
    """The texts that workers left in a folder, in order; the folder is removed."""
    for path in sorted(fileio.glob(os.path.join(folder, "part-*.json"))):
        with fileio.open(path) as file:
            yield file.read()
    fileio.rmtree(folder)
