"""Starting a training from the weights of an earlier model whose vocabularies may have been others.

Rows of embedding tables are matched by what they stand for, all other weights by their path. What
finds no match keeps the value that the new model has. Nothing but weights is carried over.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ModelError
from babelrank.components.training import predecessor, rows
from babelrank.components.training.object_graph import Array, ObjectGraph, SavedWeights
from babelrank.components.training.rows import Rows
from babelrank.components.training.tables import Earlier, RowCount, Tables, difference

RECORD = "warm_start.json"
RESOLVED = ("blessed", "pushed")
"""What `training.warm_start` names by what became of it, and not by its path."""
_NAMED = 5  # variables that a sentence names

Adapt = Callable[[SavedWeights, Any], Mapping[str, Array]]
"""Weights of another program's model, by their paths in ours (the second argument)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """From what a new training is to start.

    Attributes:
        wanted: What the configuration says: "blessed", "pushed", a path; None: from random weights.
        source: Path of the model; None: there is none (yet).
        folder: Folder of the training. It gets what the rows stand for, and `RECORD`.
        adapt: Reads models of another program too.
        remarks: What else is to be said when there is an earlier model.
    """

    folder: str
    wanted: str | None = None
    source: str | None = None
    adapt: Adapt | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """What a training started from.

    Attributes:
        source: The model; None: there was none.
        rows: One count for each feature of either model.
        kept: Number of other weights that were carried over.
        fresh: Paths of the weights that were not, each with the reason.
        notes: Sentences about it.
    """

    source: str | None
    rows: tuple[RowCount, ...] = ()
    kept: int = 0
    fresh: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """What happened, in lines for people; the first has the counts of the rows."""
        if self.source is None:
            return self.notes
        counts = "; ".join(_counted(c) for c in self.rows if c.kept or c.new or c.dropped)
        lines = [f"started from {self.source}: {counts or f'{self.kept} weights kept'}"]
        if self.fresh:
            named = "; ".join(self.fresh[:_NAMED])
            more = len(self.fresh) - _NAMED
            lines.append(f"begun anew: {named}{f'; and {more} more' if more > 0 else ''}")
        return (*lines, *self.notes)


def begin(model: tf.keras.Model, meanings: Sequence[Rows], request: Request) -> WarmStart:
    """Starts a training as it was requested, logs what came of it, and writes that down.

    Args:
        model: The new model, with its variables.
        meanings: What the rows of its tables stand for.
        request: From what.

    Raises:
        ConfigError, ModelError: See `load`.
    """
    if request.source is not None:
        started = load(model, request.source, meanings, request.adapt)
        started = dataclasses.replace(started, notes=(*started.notes, *request.remarks))
    elif request.wanted is not None:
        started = WarmStart(source=None, notes=(_nothing_yet(request.wanted),))
    else:
        started = WarmStart(source=None)
    for line in started.sentences():
        _log.info("warm start: %s", line)
    rows.write(meanings, request.folder)
    content = {**asdict(started), "sentences": started.sentences()}
    with tf.io.gfile.GFile(f"{request.folder}/{RECORD}", "w") as file:
        file.write(json.dumps(content, indent=1))
    return started


def requested(
    fn_args: Any,
    wanted: str | None,
    folder: str | os.PathLike[str],
    adapt: Adapt | None = None,
    remarks: tuple[str, ...] = (),
) -> Request:
    """What a TFX training is to start from.

    Args:
        fn_args: TFX's `FnArgs`. Its base_model, the serving model of a `Model` artifact, is taken
            before the path of the configuration.
        wanted: `training.warm_start` of the configuration.
        folder: Folder of the training.
        adapt: Reads models of another program too.
        remarks: What else is to be said when there is an earlier model.
    """
    source = fn_args.base_model or (wanted if wanted not in RESOLVED else None)
    return Request(
        folder=os.fspath(folder), wanted=wanted, source=source, adapt=adapt, remarks=remarks
    )


def describe(meanings: Sequence[Rows], model: str) -> None:
    """Writes what the rows stand for into the folder of a SavedModel."""
    rows.write(meanings, f"{model}/{predecessor.EXTRA}")


def recorded(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What `begin` wrote down in the folder of a training: `WarmStart`'s fields and `sentences`."""
    path = f"{folder}/{RECORD}"
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        content: dict[str, Any] = json.loads(file.read())
    return content


def load(
    model: tf.keras.Model, source: str, meanings: Sequence[Rows] = (), adapt: Adapt | None = None
) -> WarmStart:
    """Puts the weights of an earlier model into a new one.

    Args:
        model: The new model, with its variables.
        source: Where the earlier model is; see `predecessor.find`.
        meanings: What the rows of the new model's tables stand for; tables that are not named are
            weights like others.
        adapt: Reads models of another program too.

    Raises:
        ConfigError: There is no model.
        ModelError: It cannot be read, or nothing in it fits.
    """
    found = predecessor.find(source)
    saved = SavedWeights(found.prefix)
    graph = ObjectGraph.of_model(model)
    earlier = Earlier(saved, adapt(saved, model) if adapt else {}, found.rows)
    tables = Tables(graph, meanings, earlier)
    kept, fresh = 0, []
    for path, variable in graph.paths().items():
        if tables.has(variable) or not variable.dtype.is_floating:
            continue
        value = earlier.get(path)
        if value is not None and value.shape == tuple(variable.shape):
            variable.assign(value)
            kept += 1
        else:
            fresh.append(f"{path} ({difference(value, variable)})")
    counts = tables.carry_over()
    if not kept and not any(count.kept for count in counts):
        raise ModelError(
            f"training.warm_start: {found.path}: none of its weights fits the model: other "
            f"dimensions, or another kind of model. Take back the changes of `model:`, start "
            f"from another model, or set warm_start to null."
        )
    return WarmStart(
        source=found.path, rows=counts, kept=kept, fresh=tuple(fresh), notes=tuple(tables.notes)
    )


def _counted(count: RowCount) -> str:
    if not count.kept + count.new:
        return f"{count.name} is gone, {count.dropped:,} dropped"
    return (
        f"{count.kept:,} of {count.kept + count.new:,} rows of {count.name} kept, "
        f"{count.new:,} new, {count.dropped:,} dropped"
    )


def _nothing_yet(wanted: str) -> str:
    return f"there is no {wanted} model of other examples yet; the weights are random"
