"""Predictions for many files by Beam: what is to be done, the doing of it, and what came of it.

One work item is one file, or one of several lanes of it: each of these reads the whole file but
asks the model about every so manieth shard only, for models are slow and reading is not. No row
crosses a shuffle, and each worker process loads the model once.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.utils import shared

from babelrank.components.errors import InputError
from babelrank.components.ingest.blocks import Block
from babelrank.components.ingest.summary import Summary, total
from babelrank.components.remote import own_errors
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.batch.model import ROWS_PER_SHARD, BatchModel, numbering
from babelrank.components.serving.batch.shards import InputFile, Shards, literal, write_text
from babelrank.components.serving.batch.writer import PREDICTED, ShardWriter

_OFTEN = 1.0
"""Seconds between two notes of a worker on how far it is."""


@dataclass(frozen=True)
class Job:
    """All that a worker must know; small and picklable.

    Attributes:
        model: Folder of the SavedModel.
        task: Its task.
        config: How to ask it.
        shards: Where the predictions go.
        note_progress: Whether workers note how far they are.
    """

    model: str
    task: str
    config: BatchConfig
    shards: Shards
    note_progress: bool = False

    @property
    def rows_per_shard(self) -> int:
        """Rows after which a new shard is begun."""
        return self.config.rows_per_shard or ROWS_PER_SHARD[self.task]


@dataclass(frozen=True)
class Item:
    """A share of the work.

    Attributes:
        file: The file.
        lane: Which of its shards, counted round and round.
        lanes: Number of the lanes.
    """

    file: InputFile
    lane: int = 0
    lanes: int = 1


def find(pattern: str) -> list[InputFile]:
    """The files that a path or a glob names, by name; hidden ones are left out.

    Raises:
        InputError: There is none, or one is empty.
    """
    from babelrank.components.ingest.config import SpansConfig
    from babelrank.components.ingest.spans import resolve

    paths = [file.path for file in resolve(pattern, SpansConfig(), key="the input").files]
    return files_of(paths)


def files_of(paths: Sequence[str]) -> list[InputFile]:
    """Files as they are now.

    Raises:
        InputError: One is empty, or not there.
    """
    found = []
    for path in paths:
        there = FileSystems.match([literal(path)])[0].metadata_list
        if not there:
            raise InputError(f"{path}: there is no such file.")
        (metadata,) = there
        if not metadata.size_in_bytes:
            raise InputError(f"{path}: the file is empty; expected rows. Take it out or mend it.")
        found.append(
            InputFile(path, metadata.size_in_bytes, metadata.last_updated_in_seconds or 0.0)
        )
    return found


def to_do(files: Sequence[InputFile], job: Job, workers: int = 1) -> list[Item]:
    """The work that is left; what was made from files that have changed is removed.

    Args:
        files: All files.
        job: The job.
        workers: Workers that there will be: when they are more than files, they share them.
    """
    left = []
    for file in files:
        job.shards.forget(file)
        length = job.shards.length(file)
        if length is None or len(job.shards.finished(file)) < length[0]:
            left.append(file)
    lanes = -(-workers // len(left)) if left else 0
    return [Item(file, lane, lanes) for file in left for lane in range(lanes)]


def work(items: Sequence[Item], job: Job, pipeline: beam.Pipeline) -> None:
    """Lets Beam's workers do the items.

    Raises:
        InputError: A file cannot be read; what was finished before stays.
        ModelError: The model cannot be loaded.
    """
    with own_errors(), pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create(list(items))
            | "Spread" >> beam.Reshuffle()
            | "Predict" >> beam.ParDo(_Predict(job))
        )


def outcome(files: Sequence[InputFile], job: Job) -> Summary:
    """What became of all rows; also written to the quarantine's `summary.json`.

    Files of predictions and bad rows that no finished shard has written are removed.

    Raises:
        RuntimeError: Some row is neither predicted nor quarantined.
    """
    summaries, rows = [], 0
    for file in files:
        length = job.shards.length(file)
        parts = job.shards.finished(file)
        if length is None or sorted(parts) != list(range(length[0])):
            raise RuntimeError(f"{file.path}: shards are missing. This is a fault in BabelRank.")
        rows += length[1]
        job.shards.sweep(file, parts)
        summaries += [part.summary for _, part in sorted(parts.items())]
    whole = total(summaries)
    whole.check_balance()
    if whole.read != rows:
        raise RuntimeError(f"{rows} rows, {whole.read} of them seen. This is a fault in BabelRank.")
    write_text(f"{job.shards.quarantine}/{Summary.FILE}", whole.to_json())
    return whole


class _Predict(beam.DoFn):
    """Item -> nothing; writes the shards of the item that are not finished."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._shared = shared.Shared()

    def setup(self) -> None:
        job = self._job
        # One model for all threads of a process.
        self._model = self._shared.acquire(lambda: BatchModel(job.model, job.config))

    def process(self, item: Item) -> None:
        job, file = self._job, item.file
        asked = self._model.asked(file.path)
        finished = job.shards.finished(file)
        progress = _Progress(job, item)
        number = row = 0
        try:
            for number, blocks in enumerate(cut(asked.blocks(file.path), job.rows_per_shard), 1):
                shard = number - 1
                known = finished.get(shard)
                if shard % item.lanes != item.lane or (known and known.first_row == row):
                    row += sum(block.rows for block in blocks)
                    continue
                with ShardWriter(job.shards, file, shard, numbering(job.task)) as writer:
                    for block in blocks:
                        writer.write(block, asked.answer(block))
                        row += block.rows
                        progress.add(block.rows)
                _count(writer.summary)
        except InputError as error:
            named = str(error).startswith(file.path)
            raise error if named else InputError(f"{file.path}: {error}") from error
        end = {"stamp": file.stamp, "shards": number, "rows": row}
        write_text(job.shards.end(file.name), json.dumps(end))
        progress.note()


class _Progress:
    """A worker's note on the rows it has predicted of an item."""

    def __init__(self, job: Job, item: Item) -> None:
        self._path = job.shards.progress(item.file.name, item.lane) if job.note_progress else None
        self._rows = 0
        self._noted = time.monotonic()

    def add(self, rows: int) -> None:
        self._rows += rows
        if time.monotonic() - self._noted > _OFTEN:
            self.note()

    def note(self) -> None:
        if self._path is not None:
            write_text(self._path, str(self._rows))
        self._noted = time.monotonic()


def cut(blocks: Iterable[Block], rows: int) -> Iterator[Iterator[Block]]:
    """Consecutive blocks in groups of at least so many rows each; the last may have fewer.

    Each group must be used up before the next one is asked for.
    """
    rest = iter(blocks)
    for first in rest:
        yield _group(first, rest, rows)


def _group(first: Block, rest: Iterator[Block], rows: int) -> Iterator[Block]:
    count = 0
    for block in itertools.chain([first], rest):
        yield block
        count += block.rows
        if count >= rows:
            return


def _count(summary: Summary) -> None:
    """Beam counters of one shard's rows, for whoever watches the Beam runner."""
    counters: dict[str, Any] = {"rows_read": summary.read}
    counters["rows_predicted"] = summary.written[PREDICTED]
    counters |= {f"quarantined_{reason}": n for reason, n in summary.quarantined.items()}
    for name, value in counters.items():
        Metrics.counter("babelrank.predict", name).inc(value)
