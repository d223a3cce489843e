"""Batches of a column store, each found by its epoch and its index.

A position in the data is three numbers, (seed, epoch, index), over a global shuffle, and never a
saved iterator: any batch can be fetched at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.training.store import PAD, Array, Column, ColumnStore

__all__ = ["PAD", "Batches", "Column", "ColumnStore"]


class Batches:
    """Batches of a store, each found by its epoch and its index in the epoch.

    Epoch e visits the rows in the order of a permutation drawn from (seed, e); batch i takes
    the rows from `i * batch_size` on, in the order of the file within the batch.

    Args:
        store: The data.
        batch_size: Examples in a batch, B.
        seed: Seed of the order.
        shuffle: False: every epoch has the order of the store.
        drop_remainder: Leave out the last batch of an epoch if it is smaller than B.
        to_inputs: Turns the dict of columns (tensors) into what the model takes.

    Raises:
        InputError: Not one whole batch when the remainder is dropped.
    """

    def __init__(
        self,
        store: ColumnStore,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_remainder: bool = False,
        to_inputs: Callable[[dict[str, tf.Tensor]], Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}; takes 1 or more.")
        if drop_remainder and store.rows < batch_size:
            raise InputError(
                f"{store.directory}: {store.rows} examples are less than one batch of "
                f"{batch_size}; lower the batch size or keep the remainder."
            )
        self.store, self.batch_size, self.seed = store, batch_size, seed
        self.shuffle, self.drop_remainder = shuffle, drop_remainder
        self._to_inputs = to_inputs
        self._order: tuple[int, Array] | None = None

    @property
    def rows(self) -> int:
        """Examples in an epoch."""
        return len(self) * self.batch_size if self.drop_remainder else self.store.rows

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(self.store.rows, self.batch_size)
        return whole + (1 if rest and not self.drop_remainder else 0)

    def examples_in(self, index: int) -> int:
        """Examples in batch `index` of an epoch."""
        return min(self.batch_size, self.store.rows - index * self.batch_size)

    def get(self, epoch: int, index: int) -> dict[str, Array]:
        """The columns of batch `index` of epoch `epoch`, both counted from 0."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index}: an epoch has {len(self)} batches.")
        first = index * self.batch_size
        last = first + self.examples_in(index)
        if not self.shuffle:
            return self.store.take(np.arange(first, last))
        # Rows of one batch in file order: fewer page faults when the file exceeds the memory.
        return self.store.take(np.sort(self._permutation(epoch)[first:last]))

    def dataset(self, epoch: int = 0, start: int = 0, epochs: int | None = 1) -> tf.data.Dataset:
        """A dataset of batches, fetched ahead in the background.

        Args:
            epoch: First epoch.
            start: First batch in that epoch.
            epochs: Number of epochs to run through, the first included; None: without end.

        Returns:
            Dicts of tensors [B], [B, W], or what `to_inputs` makes of them. All dimensions
            but B are static.
        """
        first = epoch * len(self) + start
        stop = np.iinfo(np.int64).max if epochs is None else (epoch + epochs) * len(self)
        types = [tf.dtypes.as_dtype(column.dtype) for column in self.store.columns]
        positions = tf.data.Dataset.range(first, stop)
        dataset = positions.map(
            lambda position: self._named(tf.numpy_function(self._fetch, [position], types)),
            num_parallel_calls=1,
            deterministic=True,
        )
        return dataset.prefetch(4)

    def _fetch(self, position: np.int64) -> list[Array]:
        epoch, index = divmod(int(position), len(self))
        return list(self.get(epoch, index).values())

    def _named(self, tensors: Sequence[tf.Tensor]) -> Any:
        named = {}
        rows = self.batch_size if self.drop_remainder else None
        for column, tensor in zip(self.store.columns, tensors, strict=True):
            width = self.store.longest[column.name] if column.width is None else column.width
            ragged = column.width is None
            tensor.set_shape([rows, width] if ragged or width else [rows])
            named[column.name] = tensor
        return self._to_inputs(named) if self._to_inputs else named

    def _permutation(self, epoch: int) -> Array:
        # One assignment, so that a second thread sees an epoch and its order together.
        order = self._order
        if order is None or order[0] != epoch:
            drawn = np.random.Generator(np.random.PCG64([self.seed, epoch]))
            dtype = np.uint32 if self.store.rows < 2**32 else np.int64
            rows = np.arange(self.store.rows, dtype=dtype)
            drawn.shuffle(rows)
            order = self._order = (epoch, rows)
        return order[1]
