"""Batches drawn as the privacy accounting has it: each row independently, with one probability.

The epsilon of DP-SGD is that of Poisson samples (https://arxiv.org/abs/1607.00133); batches cut
from a shuffled epoch, or made of rows of similar lengths as in `buckets.TokenBatches`, would spend
more than it says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import tensorflow as tf

from babelrank.components.training.accountant import sampling_rate
from babelrank.components.training.inputs import BatchSource, rows_within
from babelrank.components.training.store import PAD, Array, Column, ColumnStore


class PoissonBatches(BatchSource):
    """Batches that each have every row with probability q = batch_size / rows.

    Batch i of epoch e follows from (seed, e, i) alone. Within an epoch a row may come several
    times or never; an epoch is as many batches as would hold all rows. Sizes differ, and a batch
    may be empty: [0, ...]. No batch is cut, as a cut sample is not the one that epsilon is
    computed for; by Bernstein's inequality one of more than B + 10 sqrt(B) + 50 rows, for B
    expected, has a probability below 2e-22.

    Args:
        store: The data.
        batch_size: Expected number of examples in a batch, B, also for sentences.
        seed: Seed of the samples. The guarantee holds only while nobody knows it: see
            `privacy.secret`, and `seeded`.
        columns: Names of variable-length columns that are as wide as the longest row of the batch,
            and not of the store.
        max_length: Rows with more values in one of `columns` are never drawn and count for
            nothing; None: there are none.
        pad: What variable-length columns are filled up with.
        to_inputs: Turns the dict of columns (tensors) into what the model takes.

    Attributes:
        too_long: Number of examples that are left out.

    Raises:
        ConfigError: See `accountant.sampling_rate`.
        InputError: All examples are too long.
    """

    varied = True

    def __init__(
        self,
        store: ColumnStore,
        batch_size: int,
        seed: int,
        columns: Sequence[str] = (),
        max_length: int | None = None,
        pad: int = PAD,
        to_inputs: Callable[[dict[str, tf.Tensor]], Any] | None = None,
    ) -> None:
        super().__init__(store, seed, True, to_inputs)
        self.batch_size, self.max_length = batch_size, max_length
        self._pad = pad
        self._lengths = {name: store.lengths(name) for name in columns}
        self._rows = rows_within(store, self._lengths.values(), max_length)
        self.too_long = store.rows - len(self._rows)
        self._rate = sampling_rate(self.rows, batch_size)

    @property
    def rows(self) -> int:
        """Examples that can be drawn, N."""
        return len(self._rows)

    @property
    def identity(self) -> dict[str, int | None]:
        """See `BatchSource`."""
        return {
            "expected_batch_size": self.batch_size,
            "max_length": self.max_length,
            "rows": self.rows,
        }

    def seeded(self, seed: int) -> Self:
        """A copy that draws other samples."""
        other = copy.copy(self)
        other.seed = seed
        return other

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def examples_in(self, index: int, epoch: int = 0) -> int:
        """Examples in a batch."""
        return self._size(self._generator(index, epoch))

    def rows_in(self, index: int, epoch: int = 0) -> Array:
        """See `BatchSource`."""
        # A binomial number of rows without replacement: the same as a draw for each row, without
        # the N draws.
        generator = self._generator(index, epoch)
        drawn = generator.choice(self.rows, self._size(generator), replace=False, shuffle=False)
        rows: Array = self._rows[np.sort(drawn)]
        return rows

    def get(self, epoch: int, index: int) -> dict[str, Array]:
        """The columns of batch `index` of epoch `epoch`, both counted from 0."""
        rows = self.rows_in(index, epoch)
        widths = {n: int(lengths[rows].max(initial=0)) for n, lengths in self._lengths.items()}
        return self.store.take(rows, self._pad, widths)

    def _generator(self, index: int, epoch: int) -> np.random.Generator:
        self._check(index)
        return np.random.Generator(np.random.PCG64([self.seed, epoch, index]))

    def _size(self, generator: np.random.Generator) -> int:
        return int(generator.binomial(self.rows, self._rate))

    def _shape(self, column: Column) -> list[int | None]:
        return [None, None] if column.name in self._lengths else super()._shape(column)
