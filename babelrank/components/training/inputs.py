"""Batches of a column store, each found by its epoch and its index.

A position in the data is three numbers, (seed, epoch, index), over a global shuffle, and never a
saved iterator: any batch can be fetched at random.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.training.store import PAD, Array, Column, ColumnStore

__all__ = ["PAD", "BatchSource", "Batches", "Column", "ColumnStore", "Portion"]


@dataclass(frozen=True)
class Portion:
    """Which parts of every batch an input pipeline has: one for each of its replicas.

    Part k of n has the rows from `B * k // n` up to `B * (k + 1) // n`.

    Attributes:
        first: The first part, from 0.
        count: Number of parts here.
        total: Number of parts in all, n.
    """

    first: int = 0
    count: int = 1
    total: int = 1

    @classmethod
    def of(cls, context: tf.distribute.InputContext | None) -> Portion:
        """What belongs to an input pipeline of `tf.distribute`; None: all of each batch."""
        if context is None:
            return cls()
        here = context.num_replicas_in_sync // context.num_input_pipelines
        return cls(here * context.input_pipeline_id, here, context.num_replicas_in_sync)

    def cut(self, values: Array, part: int) -> Array:
        """The rows of the `part`-th part here."""
        k = self.first + part
        cut: Array = values[len(values) * k // self.total : len(values) * (k + 1) // self.total]
        return cut

    def rows(self, batch: int | None) -> int | None:
        """Rows of each part, where all have equally many; otherwise None."""
        return None if batch is None or batch % self.total else batch // self.total


class BatchSource(abc.ABC):
    """What the loop reads: a fixed number of batches an epoch, in an order of its own each time.

    Args:
        store: The data.
        seed: Seed of the order.
        shuffle: False: every epoch has the same order.
        to_inputs: Turns the dict of columns (tensors) into what the model takes.

    Attributes:
        unit: What speed is counted in, and what batches weigh by in the mean loss.
        varied: Whether nearly every batch has a shape of its own.
    """

    unit = "examples"
    varied = False

    def __init__(
        self,
        store: ColumnStore,
        seed: int = 0,
        shuffle: bool = True,
        to_inputs: Callable[[dict[str, tf.Tensor]], Any] | None = None,
    ) -> None:
        self.store, self.seed, self.shuffle = store, seed, shuffle
        self._to_inputs = to_inputs

    @property
    @abc.abstractmethod
    def rows(self) -> int:
        """Examples in an epoch."""

    @property
    @abc.abstractmethod
    def identity(self) -> dict[str, int | None]:
        """What must not change between a checkpoint and the training that goes on from it."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Batches in an epoch."""

    @abc.abstractmethod
    def examples_in(self, index: int, epoch: int = 0) -> int:
        """Examples in a batch."""

    def amount_in(self, index: int, epoch: int = 0) -> int:
        """What a batch holds, in `unit`."""
        return self.examples_in(index, epoch)

    @abc.abstractmethod
    def get(self, epoch: int, index: int) -> dict[str, Array]:
        """The columns of batch `index` of epoch `epoch`, both counted from 0."""

    def padding_fraction(self) -> float | None:
        """Share of padding in an epoch; None where that differs from epoch to epoch."""
        return None

    @abc.abstractmethod
    def rows_in(self, index: int, epoch: int = 0) -> Array:
        """Numbers of a batch's examples in the store, rising, [B]."""

    def dataset(
        self,
        epoch: int = 0,
        start: int = 0,
        epochs: int | None = 1,
        portion: Portion | None = None,
        without: Sequence[int] = (),
    ) -> tf.data.Dataset:
        """A dataset of batches, fetched ahead in the background.

        Args:
            epoch: First epoch.
            start: First batch in that epoch.
            epochs: Number of epochs to run through, the first included; None: without end.
            portion: Which parts of each batch, one after another; None: whole batches.
            without: Batches to leave out, by `epoch * len(self) + index`.

        Returns:
            Dicts of tensors [B], [B, W], or what `to_inputs` makes of them.
        """
        portion = portion or Portion()
        first = epoch * len(self) + start
        stop = np.iinfo(np.int64).max // portion.count
        stop = stop if epochs is None else (epoch + epochs) * len(self)
        positions = tf.data.Dataset.range(first * portion.count, stop * portion.count)
        if without:
            left_out = tf.constant(sorted(without), tf.int64)
            positions = positions.filter(
                lambda position: tf.reduce_all(position // portion.count != left_out)
            )
        types = [tf.dtypes.as_dtype(column.dtype) for column in self._columns()]
        fetch = self._fetcher(portion)
        dataset = positions.map(
            lambda position: self._named(tf.numpy_function(fetch, [position], types), portion),
            num_parallel_calls=1,
            deterministic=True,
        )
        return dataset.prefetch(4 * portion.count)

    def _fetcher(self, portion: Portion) -> Callable[[np.int64], list[Array]]:
        """Finds part `position % count` of batch `position // count`."""
        last: list[Any] = [None, {}]

        def fetch(position: np.int64) -> list[Array]:
            number, part = divmod(int(position), portion.count)
            if last[0] != number:
                last[:] = number, self.get(*divmod(number, len(self)))
            return [portion.cut(values, part) for values in last[1].values()]

        return fetch

    def _named(self, tensors: Sequence[tf.Tensor], portion: Portion) -> Any:
        named = {}
        for column, tensor in zip(self._columns(), tensors, strict=True):
            rows, *rest = self._shape(column)
            tensor.set_shape([portion.rows(rows), *rest])
            named[column.name] = tensor
        return self._to_inputs(named) if self._to_inputs else named

    def _columns(self) -> tuple[Column, ...]:
        """The columns of a batch, in the order in which `get` has them."""
        return self.store.columns

    def _shape(self, column: Column) -> list[int | None]:
        """The static shape of a column in a batch."""
        if column.width is None:
            return [None, self.store.longest[column.name]]
        return [None, column.width] if column.width else [None]

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index}: an epoch has {len(self)} batches.")


class Batches(BatchSource):
    """Batches of a fixed number of examples.

    Epoch e visits the rows in the order of a permutation drawn from (seed, e); batch i takes
    the rows from `i * batch_size` on, in the order of the file within the batch. All dimensions
    but the first are static.

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
        super().__init__(store, seed, shuffle, to_inputs)
        if batch_size < 1:
            raise ValueError(f"batch_size: got {batch_size}; takes 1 or more.")
        if drop_remainder and store.rows < batch_size:
            raise InputError(
                f"{store.directory}: {store.rows} examples are less than one batch of "
                f"{batch_size}; lower the batch size or keep the remainder."
            )
        self.batch_size, self.drop_remainder = batch_size, drop_remainder
        self._order: tuple[int, Array] | None = None

    @property
    def rows(self) -> int:
        """Examples in an epoch."""
        return len(self) * self.batch_size if self.drop_remainder else self.store.rows

    @property
    def identity(self) -> dict[str, int | None]:
        """See `BatchSource`."""
        return {"batch_size": self.batch_size, "rows": self.rows}

    def __len__(self) -> int:
        whole, rest = divmod(self.store.rows, self.batch_size)
        return whole + (1 if rest and not self.drop_remainder else 0)

    def examples_in(self, index: int, epoch: int = 0) -> int:
        """Examples in a batch, in every epoch the same."""
        return min(self.batch_size, self.store.rows - index * self.batch_size)

    def rows_in(self, index: int, epoch: int = 0) -> Array:
        """See `BatchSource`."""
        self._check(index)
        first = index * self.batch_size
        last = first + self.examples_in(index)
        if not self.shuffle:
            return np.arange(first, last)
        # In file order: fewer page faults when the file exceeds the memory.
        rows: Array = np.sort(self._permutation(epoch)[first:last])
        return rows

    def get(self, epoch: int, index: int) -> dict[str, Array]:
        """The columns of batch `index` of epoch `epoch`, both counted from 0."""
        return self.store.take(self.rows_in(index, epoch))

    def _shape(self, column: Column) -> list[int | None]:
        rows = self.batch_size if self.drop_remainder else None
        return [rows, *super()._shape(column)[1:]]

    def _permutation(self, epoch: int) -> Array:
        # One assignment, so that a second thread sees an epoch and its order together.
        order = self._order
        if order is None or order[0] != epoch:
            rows = row_numbers(self.store.rows)
            np.random.Generator(np.random.PCG64([self.seed, epoch])).shuffle(rows)
            order = self._order = (epoch, rows)
        return order[1]


def row_numbers(rows: int) -> Array:
    """0, 1, ... as small integers [rows]."""
    return np.arange(rows, dtype=np.uint32 if rows < 2**32 else np.int64)


def rows_within(store: ColumnStore, lengths: Iterable[Array], max_length: int | None) -> Array:
    """The rows [n] of a store that are not too long.

    Args:
        store: The store.
        lengths: Lengths [N] of one or more sequences of each row.
        max_length: The longest that is not; None: all rows.

    Raises:
        InputError: All rows are too long.
    """
    rows = row_numbers(store.rows)
    if max_length is not None:
        for of_column in lengths:
            rows = rows[of_column[rows] <= max_length]
    if not len(rows):
        raise InputError(
            f"{store.directory}: all {store.rows} examples are longer than max_length, "
            f"{max_length}; raise it."
        )
    return rows
