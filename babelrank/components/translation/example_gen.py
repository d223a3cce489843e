"""`ParallelTextExampleGen`: parallel text of any common format to `tf.Example`s in splits.

Example of use beside stock TFX components:

    example_gen = ParallelTextExampleGen(
        data=DataConfig(path="corpus/*.tsv.gz", source=SideConfig(language="en"),
                        target=SideConfig(language="de")),
    )
    statistics = StatisticsGen(examples=example_gen.outputs["examples"])

Repeated pairs are found without a shuffle. Of one file, its worker remembers the hashes of the
pairs so far (8 bytes a pair). Of several files, a first pass over all of them (they are read
and cleaned twice then) collects those hashes, and each worker is told the ones of its file that
an earlier file has too. So the first occurrence in the order of files and lines is the one that
stays, on any runner and with any number of workers. With `cleaning.duplicates: keep` there is
no first pass.

A source sentence of an explicit eval or test file is left out of the data everywhere
(`in_eval_or_test`); those files themselves are kept whole, but for rows that are not UTF-8 or
have an empty side.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio

from babelrank.components.config import from_dict, to_dict
from babelrank.components.ingest import component, driver, executor
from babelrank.components.ingest import config as ingest_config
from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.ingest.config import IngestConfig, SpansConfig
from babelrank.components.ingest.seen import Hashes, Seen
from babelrank.components.ingest.spans import InputFile
from babelrank.components.ingest.splits import Splitter
from babelrank.components.translation.config import (
    DataConfig,
    FilesConfig,
    SplitsConfig,
    TextIngestConfig,
)
from babelrank.components.translation.formats import read_pairs
from babelrank.components.translation.inputs import inputs
from babelrank.components.translation.pairs import (
    PairBlock,
    PairReader,
    pair_hashes,
    text_hashes,
)
from babelrank.components.translation.records import SOURCE, TARGET


class ParallelTextSource:
    """Parallel text as the ingest executor sees it.

    Args:
        config: The data's configuration.
        elsewhere: Hashes of the sources of explicit eval and test files, sorted.
        repeated: For files that have some, the path of a file of the hashes of their pairs that
            an earlier file has too.
    """

    def __init__(
        self,
        config: DataConfig,
        elsewhere: Hashes | None = None,
        repeated: dict[str, str] | None = None,
    ) -> None:
        self._config = config
        self._reader = PairReader(config, elsewhere)
        self._repeated = repeated or {}

    def blocks(self, file: InputFile) -> Iterator[PairBlock]:
        """The blocks of a file."""
        seen = None
        if self._config.cleaning.duplicates == "drop" and not file.split:
            path = self._repeated.get(file.path)
            seen = Seen() if path is None else Seen(_load(path))
        for block in read_pairs(file, self._config):
            yield PairBlock(
                block.batch, block.locate, block.first_row, block.bad, file=file, seen=seen
            )

    def read(self, block: Block) -> Rows:
        """Rows of a block as features."""
        return self._reader.read(cast(PairBlock, block))

    def seconds(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Never asked for: sentences have no time."""
        raise NotImplementedError

    def keys(self, block: Block, rows: Rows, column: str) -> npt.NDArray[np.uint64]:
        """[M] hashes of the source sentences."""
        return text_hashes(_texts(rows, SOURCE))

    def thin(
        self, batch: pa.RecordBatch, keys: npt.NDArray[np.uint64]
    ) -> tuple[pa.RecordBatch, Counter[str]]:
        """Keeps all rows."""
        return batch, Counter()


def _path(files: FilesConfig | None) -> str | None:
    return None if files is None else files.path or files.source


def _texts(rows: Rows, name: str) -> pa.Array:
    column = rows.features.column(rows.features.schema.get_field_index(name))
    return column.flatten().cast(pa.string())


def _make_source(
    data: dict[str, Any], elsewhere: Hashes | None, repeated: dict[str, str] | None
) -> ParallelTextSource:
    return ParallelTextSource(from_dict(DataConfig, data, "data"), elsewhere, repeated)


class Executor(executor.IngestExecutor):
    """Executor of `ParallelTextExampleGen`."""

    def make_source(self, config: dict[str, Any]) -> Callable[[], executor.Source]:
        """A picklable function that makes the source."""
        return partial(_make_source, config["data"], None, None)

    def split_config(self, config: dict[str, Any]) -> ingest_config.SplitsConfig:
        """The split rule."""
        splits = from_dict(SplitsConfig, config["splits"], "splits")
        explicit = splits.explicit
        return ingest_config.SplitsConfig(
            by=splits.by,
            eval=splits.eval,
            test=splits.test,
            eval_path=_path(explicit.eval),
            test_path=_path(explicit.test),
        )

    def splitter(
        self,
        config: ingest_config.SplitsConfig,
        spans: list[int],
        files: list[InputFile],
        source: Callable[[], executor.Source],
        folder: str,
    ) -> Splitter:
        """The same with any window of spans: no source sentence stands on two sides."""
        return Splitter(
            config.by,
            0.0 if config.eval_path else config.eval,
            0.0 if config.test_path else config.test,
        )

    @contextlib.contextmanager
    def prepared(
        self, config: dict[str, Any], files: list[InputFile], folder: str
    ) -> Iterator[Callable[[], executor.Source]]:
        """A source that knows explicit splits' sentences, and pairs that several files have."""
        data = from_dict(DataConfig, config["data"], "data")
        elsewhere = _sources(data, [file for file in files if file.split])
        corpus = [file for file in files if not file.split]
        repeated: dict[str, str] = {}
        if data.cleaning.duplicates == "drop" and len(corpus) > 1:
            source = partial(_make_source, config["data"], elsewhere, None)
            collect = _CollectPairs(source, folder)
            paths = list(self.each_file("CollectPairs", corpus, collect, folder + "-parts"))
            repeated = _repeated(corpus, paths)
        try:
            yield partial(_make_source, config["data"], elsewhere, repeated)
        finally:
            if fileio.exists(folder):
                fileio.rmtree(folder)


def _sources(data: DataConfig, files: list[InputFile]) -> Hashes | None:
    """Hashes of the source sentences of explicit splits, which are small enough to read here."""
    if not files:
        return None
    source, seen = ParallelTextSource(data), Seen()
    for file in files:
        for block in source.blocks(file):
            seen.add(text_hashes(_texts(source.read(block), SOURCE)))
    return seen.to_array()


class _CollectPairs(beam.DoFn):
    """(number, file) -> nothing; writes the hashes of the file's pairs and leaves their path."""

    def __init__(self, make_source: Callable[[], executor.Source], folder: str) -> None:
        self._make_source = make_source
        self._folder = folder

    def setup(self) -> None:
        self._source = self._make_source()

    def process(self, element: tuple[int, InputFile]) -> None:
        number, file = element
        hashes = [np.empty(0, np.uint64)]
        for block in self._source.blocks(file):
            rows = self._source.read(block)
            sides = [text_hashes(_texts(rows, name)) for name in (SOURCE, TARGET)]
            hashes.append(pair_hashes(sides[0], sides[1]))
        path = os.path.join(self._folder, f"pairs-{number:05d}.npy")
        _save(path, np.sort(np.concatenate(hashes)))
        executor.leave_part(self._folder + "-parts", number, path)


def _repeated(files: list[InputFile], paths: list[str]) -> dict[str, str]:
    """Replaces each file's hashes by those that an earlier file has too; paths of the others."""
    seen = Seen()
    repeated = {}
    for file, path in zip(files, paths, strict=True):
        hashes = _load(path)
        fresh = seen.add(hashes)
        if fresh.all():
            fileio.remove(path)
        else:
            _save(path, hashes[~fresh])
            repeated[file.path] = path
    return repeated


def _save(path: str, hashes: Hashes) -> None:
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "wb") as file:
        file.write(hashes.tobytes())


def _load(path: str) -> Hashes:
    with fileio.open(path, "rb") as file:
        return np.frombuffer(file.read(), np.uint64)


class ParallelTextExampleGen(component.IngestComponent):
    """Reads parallel text into `tf.Example`s; bad rows go to a quarantine.

    Outputs:
        examples: `Examples` with splits train, eval and (unless its fraction is 0) test;
            properties span, version, spans (JSON) and input_fingerprint.
        quarantine: `Quarantine`, the refused rows with file, position and reason.

    Args:
        data: The files, their format, the two sides and the cleaning.
        splits: How pairs are divided.
        spans: Which spans are read.
        ingest: The quarantine's limit, and how to write.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        data: DataConfig,
        splits: SplitsConfig | None = None,
        spans: SpansConfig | None = None,
        ingest: IngestConfig | None = None,
    ) -> None:
        splits = splits or SplitsConfig()
        config = {
            "data": to_dict(data),
            "splits": to_dict(splits),
            "spans": to_dict(spans or SpansConfig()),
            "ingest": to_dict(ingest or TextIngestConfig()),
            driver.INPUTS: driver.inputs_section(inputs(data, splits)),
        }
        super().__init__(config)
