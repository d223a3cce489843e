"""How far `babelrank predict --input` is: rows a second, and about when it will be done."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from babelrank.components.serving.batch.config import TFRECORD

if TYPE_CHECKING:
    from babelrank.components.serving.batch.job import Job
    from babelrank.components.serving.batch.shards import InputFile

_SAMPLE = 1 << 20
_OFTEN = 1.0


@contextmanager
def shown(stream: TextIO, job: Job, files: Sequence[InputFile], before: int) -> Iterator[None]:
    """Shows rows a second, and when they will be done, while workers note how far they are."""
    from tqdm import tqdm

    live = stream.isatty()
    total = expected_rows(files, job) if live else None
    bar = tqdm(total=total, initial=before, unit=" rows", file=stream, disable=not live)
    over = threading.Event()

    def follow() -> None:
        while not over.wait(_OFTEN):
            bar.update(before + noted_rows(Path(job.shards.parts)) - bar.n)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        bar.close()


def noted_rows(folder: Path) -> int:
    """Rows that the workers of this run say they have predicted."""
    rows = 0
    for path in folder.glob("*.rows"):
        with suppress(OSError):  # it is being replaced
            rows += int(path.read_text())
    return rows


def expected_rows(files: Sequence[InputFile], job: Job) -> int | None:
    """About how many rows there are, judged by the beginnings of files; None: nobody knows.

    Raises:
        InputError: A file cannot be read.
    """
    counts = [_expected_rows(file, job) for file in files]
    return None if None in counts else sum(count for count in counts if count is not None)


def _expected_rows(file: InputFile, job: Job) -> int | None:
    from babelrank.components.ingest.files import open_input

    kind = job.config.format_of(file.path, job.task)
    if kind == TFRECORD:
        return None
    with open_input(file.path) as opened:
        if kind == "parquet":
            import pyarrow.parquet

            return int(pyarrow.parquet.ParquetFile(opened).metadata.num_rows)
        sample = opened.read(_SAMPLE)
    lines = max(1, sample.count(b"\n"))
    if len(sample) < _SAMPLE:
        return lines
    compressed = file.path.endswith((".gz", ".xz", ".zst", ".bz2"))
    share = len(gzip.compress(sample) if compressed else sample) / file.size
    return round(lines / share)
