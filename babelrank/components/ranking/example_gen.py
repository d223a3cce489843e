"""`ClickLogExampleGen`: click logs of any common format to `tf.Example`s in splits.

Example of use beside stock TFX components:

    example_gen = ClickLogExampleGen(
        data=DataConfig(path="logs/day={SPAN}/*.csv.gz", label=LabelConfig(column="clicked"),
                        categorical=("user_id", "item_id")),
        splits=SplitsConfig(by="user_id"),
    )
    statistics = StatisticsGen(examples=example_gen.outputs["examples"])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tfx.dsl.components.base import executor_spec

from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError
from babelrank.components.ingest import columns, component, driver, executor, splits
from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.ingest.config import (
    ROW,
    TIME,
    IngestConfig,
    SpansConfig,
    SplitsConfig,
)
from babelrank.components.ingest.spans import InputFile
from babelrank.components.ingest.tables import read_blocks
from babelrank.components.ranking.config import DataConfig, JoinConfig
from babelrank.components.ranking.inputs import inputs, joined
from babelrank.components.ranking.records import (
    LABEL,
    TIMESTAMP,
    WEIGHT,
    JoinTable,
    RowReader,
    join_table,
)


class ClickLogSource:
    """A click log as the ingest executor sees it.

    Args:
        config: Meaning of the columns.
        split_by: The split rule's `by`; a column of this name is read too.
    """

    def __init__(self, config: DataConfig, split_by: str = ROW) -> None:
        self._config = config
        self._reader = RowReader(config, [_load_join(join) for join in config.joins])
        self._columns = self._reader.columns()
        if split_by not in (ROW, TIME):
            self._columns[split_by] = pa.string()  # its texts are hashed

    def blocks(self, file: InputFile) -> Iterator[Block]:
        """The blocks of a file."""
        config = self._config
        return read_blocks(
            file.path,
            config.format,
            self._columns,
            config.delimiter,
            config.column_names,
            config.missing_values,
        )

    def read(self, block: Block) -> Rows:
        """Rows of a block as features."""
        return self._reader.read(block)

    def seconds(self, rows: Rows) -> npt.NDArray[np.int64]:
        """[M] epoch seconds of rows."""
        seconds: npt.NDArray[np.int64] = _column(rows.features, TIMESTAMP).flatten().to_numpy()
        return seconds

    def keys(self, block: Block, rows: Rows, column: str) -> npt.NDArray[np.uint64]:
        """[M] hashes of the column that rows are split by."""
        texts, _ = columns.to_texts(_column(block.batch, column))
        return splits.column_keys(texts.take(pa.array(rows.index)))

    def thin(
        self, batch: pa.RecordBatch, keys: npt.NDArray[np.uint64]
    ) -> tuple[pa.RecordBatch, Counter[str]]:
        """Keeps a fraction of the negatives and gives those the inverse weight."""
        fraction = self._config.keep_negatives
        if fraction == 1.0 or not batch.num_rows:
            return batch, Counter()
        positive = _column(batch, LABEL).flatten().to_numpy() > 0
        # Other bits than the ones that chose the split.
        kept = positive | ((keys * np.uint64(0x9E3779B97F4A7C15)) / 2.0**64 < fraction)
        weight = np.where(positive, 1.0, 1.0 / fraction)
        if self._config.weight is not None:
            weight = weight * _column(batch, WEIGHT).flatten().to_numpy()
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
        offsets = pa.array(np.arange(len(weight) + 1, dtype=np.int32))
        arrays[WEIGHT] = pa.ListArray.from_arrays(offsets, pa.array(weight.astype(np.float32)))
        weighted = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
        dropped = Counter({"negative_not_sampled": int((~kept).sum())})
        return weighted.take(pa.array(np.flatnonzero(kept))), +dropped


def _load_join(join: JoinConfig) -> JoinTable:
    wanted = {name: pa.string() for name in (join.key, *join.columns)}
    blocks = list(read_blocks(join.path, join.format, wanted))
    bad = [row for block in blocks for row in block.bad]
    if bad:
        raise ConfigError(
            f"joins: {join.path}, {bad[0].location.position}: {bad[0].detail}; "
            "a joined file must have no bad rows."
        )
    if not blocks:
        raise ConfigError(f"joins: {join.path}: the file has no rows.")
    table = pa.Table.from_batches([block.batch for block in blocks])
    return join_table(join.key, join.columns, table, join.path)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    return batch.column(batch.schema.get_field_index(name))


def _make_source(data: dict[str, Any], split_by: str) -> ClickLogSource:
    return ClickLogSource(from_dict(DataConfig, data, "data"), split_by)


class Executor(executor.IngestExecutor):
    """Executor of `ClickLogExampleGen`."""

    def make_source(self, config: dict[str, Any]) -> Callable[[], executor.Source]:
        """A picklable function that makes the source."""
        return partial(_make_source, config["data"], config["splits"]["by"])


class ClickLogExampleGen(component.IngestComponent):
    """Reads click logs into `tf.Example`s; bad rows go to a quarantine.

    Outputs:
        examples: `Examples` with splits train, eval and (unless its fraction is 0) test;
            properties span, version, spans (JSON) and input_fingerprint.
        quarantine: `Quarantine`, the refused rows with file, position and reason.

    Args:
        data: The files and the meaning of their columns.
        splits: How rows are divided.
        spans: Which spans are read.
        ingest: The quarantine's limit, and how to write.

    Raises:
        ConfigError: The parts do not fit each other.
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
        if splits.by == TIME and data.timestamp is None:
            raise ConfigError("splits.by: time needs data.timestamp.")
        config = {
            "data": to_dict(data),
            "splits": to_dict(splits),
            "spans": to_dict(spans or SpansConfig()),
            "ingest": to_dict(ingest or IngestConfig()),
            driver.INPUTS: driver.inputs_section(inputs(data, splits), joined(data)),
        }
        super().__init__(config)
