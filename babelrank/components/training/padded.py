"""Batches that all have one shape: the last of an epoch is filled up with rows that are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from babelrank.components.training.inputs import Batches
from babelrank.components.training.store import PAD, Array, Column, ColumnStore


class PaddedBatches(Batches):
    """Batches of exactly `batch_size` rows, for devices that compile each shape.

    Args:
        store: The data.
        batch_size: Rows of a batch, B.
        empty: By column, the value of the rows that are filled up; it tells them from examples in
            at least one column. 0 where it is not said, `PAD` in columns of variable length.
        seed: Seed of the order.
        shuffle: False: every epoch has the order of the store.
        to_inputs: Turns the dict of columns (tensors) into what the model takes.
    """

    def __init__(
        self,
        store: ColumnStore,
        batch_size: int,
        empty: Mapping[str, float],
        seed: int = 0,
        shuffle: bool = True,
        to_inputs: Callable[[dict[str, tf.Tensor]], Any] | None = None,
    ) -> None:
        super().__init__(store, batch_size, seed, shuffle, to_inputs=to_inputs)
        ragged = {column.name: PAD for column in store.columns if column.width is None}
        self._empty = {**ragged, **empty}

    def get(self, epoch: int, index: int) -> dict[str, Array]:
        """See `Batches`; with `batch_size` rows, the examples first."""
        return {name: self._filled(name, v) for name, v in super().get(epoch, index).items()}

    def _filled(self, name: str, values: Array) -> Array:
        around = ((0, self.batch_size - len(values)), *((0, 0),) * (values.ndim - 1))
        return np.pad(values, around, constant_values=self._empty.get(name, 0))

    def _shape(self, column: Column) -> list[int | None]:
        return [self.batch_size, *super()._shape(column)[1:]]
