"""Rows of embedding tables that are carried over from one model to another, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from babelrank.components.training import rows
from babelrank.components.training.object_graph import Array, ObjectGraph, SavedWeights
from babelrank.components.training.rows import Rows


@dataclass(frozen=True, kw_only=True)
class RowCount:
    """What became of the rows of one feature.

    Attributes:
        name: Name of the feature.
        kept: Rows with the weights of the earlier model.
        new: Rows with the value that the new model has.
        dropped: Rows of the earlier model that the new one does not have.
    """

    name: str
    kept: int
    new: int
    dropped: int


@dataclass
class Earlier:
    """An earlier model: its weights, and what the rows of its tables stand for.

    Attributes:
        saved: Its weights.
        adapted: Weights by path that come before those; of another program's model.
        rows: None: unknown.
    """

    saved: SavedWeights
    adapted: Mapping[str, Array]
    rows: list[Rows] | None
    _tables: dict[str, Array | None] = field(default_factory=dict)

    def get(self, path: str) -> Array | None:
        """The weight at a path, or None."""
        return self.adapted[path] if path in self.adapted else self.saved.get(path)

    def table(self, path: str) -> Array | None:
        """The same, kept for the other features of the table."""
        if path not in self._tables:
            self._tables[path] = self.get(path)
        return self._tables[path]


class Tables:
    """The embedding tables of a new model.

    Args:
        graph: Its objects.
        meanings: What the rows of its tables stand for.
        earlier: The model whose rows are taken.

    Attributes:
        notes: Sentences about what did not fit.

    Raises:
        ValueError: The model has no such table, or not of that size.
    """

    def __init__(self, graph: ObjectGraph, meanings: Sequence[Rows], earlier: Earlier) -> None:
        self._meanings, self._earlier = meanings, earlier
        self._variables = {one.table: graph.at(one.table) for one in meanings}
        self._check()
        self._before = dict(
            zip((r.name for r in earlier.rows or ()), _placed(earlier.rows), strict=True)
        )
        self._used: dict[str, set[int]] = {name: set() for name in self._before}
        self.notes: list[str] = []

    def _check(self) -> None:
        """The task must know its own tables."""
        for path, variable in self._variables.items():
            size = sum(one.size for one in self._meanings if one.table == path)
            if variable is None or variable.shape[0] != size:
                has = "none" if variable is None else f"{variable.shape[0]} rows"
                raise ValueError(f"rows: {path}: got {size} rows; the model has {has} there.")

    def has(self, variable: tf.Variable) -> bool:
        """True for one of the tables."""
        return any(variable is table for table in self._variables.values())

    def carry_over(self) -> tuple[RowCount, ...]:
        """Fills the tables; returns what became of the rows of each feature."""
        if self._earlier.rows is None:
            return self._by_number()
        values = {path: _array(variable) for path, variable in self._variables.items()}
        kept = {
            one.name: self._fill(values[one.table], one, first)
            for one, first in _placed(self._meanings)
        }
        for path, variable in self._variables.items():
            variable.assign(values[path])
        sizes = {one.name: one.size for one in self._meanings}
        return tuple(
            RowCount(
                name=name,
                kept=kept.get(name, 0),
                new=sizes.get(name, 0) - kept.get(name, 0),
                dropped=self._dropped(name),
            )
            for name in (*sizes, *(n for n in self._before if n not in sizes))
        )

    def _fill(self, values: Array, now: Rows, first: int) -> int:
        """Puts what is known into the rows of a feature from `first` on; returns how many."""
        filled: set[int] = set()
        for name in (now.name, *now.otherwise):
            if name not in self._before:
                continue
            before, offset = self._before[name]
            table = self._earlier.table(before.table)
            if table is None or table.shape[1:] != values.shape[1:]:
                was = "is missing" if table is None else f"was {table.shape[1]} wide"
                self.notes.append(f"no rows of {name} kept: its table {was}")
                continue
            pairs = {i: j for i, j in rows.matched(now, before).items() if i not in filled}
            at, wanted = (np.fromiter(x, np.int64) for x in (pairs.keys(), pairs.values()))
            values[at + first] = table[wanted + offset]
            filled.update(pairs)
            self._used[name].update(pairs.values())
        return len(filled)

    def _dropped(self, name: str) -> int:
        return self._before[name][0].size - len(self._used[name]) if name in self._before else 0

    def _by_number(self) -> tuple[RowCount, ...]:
        """Takes tables of the same shape as they are: nothing tells what the rows stand for."""
        counts = []
        for path, variable in self._variables.items():
            table = self._earlier.table(path)
            fits = table is not None and table.shape == tuple(variable.shape)
            if fits:
                variable.assign(table)
            elif table is not None:
                self.notes.append(f"no rows of {path} kept: {difference(table, variable)}")
            counts += [
                RowCount(
                    name=one.name,
                    kept=one.size if fits else 0,
                    new=0 if fits else one.size,
                    dropped=0,
                )
                for one in self._meanings
                if one.table == path
            ]
        if any(count.kept for count in counts):
            self.notes.append(
                "nothing there tells what the rows stand for; they are taken to mean the same"
            )
        return tuple(counts)


def _placed(meanings: Sequence[Rows] | None) -> list[tuple[Rows, int]]:
    """Each beside its first row in its table."""
    return list(zip(meanings or (), rows.offsets(meanings or ()), strict=True))


def _array(variable: tf.Variable) -> Array:
    """A copy of the values."""
    return np.array(tf.convert_to_tensor(variable))


def difference(value: Array | None, variable: tf.Variable) -> str:
    """Why a value does not fit a variable, in a few words."""
    if value is None:
        return "new"
    was, now = (" x ".join(map(str, shape)) for shape in (value.shape, variable.shape))
    return f"was {was or 'scalar'}, is {now or 'scalar'}"
