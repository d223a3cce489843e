"""What the rows of embedding tables stand for, written beside a model, so that the next can match.

A table holds the rows of one or more features (or languages), one below the other. A row stands
for a token, is shared by tokens that are hashed into it, or has a meaning by its number.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

from babelrank.components.errors import ModelError

FILE = "babelrank_tokens.json.gz"
"""In `assets.extra` of a SavedModel, or in the folder of a training."""
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one feature: first the numbered, then those of tokens, then the shared ones.

    Attributes:
        name: Name of the feature.
        table: Path of the table among the model's objects; see `object_graph`.
        kind: How values become ids; rows of another kind have nothing in common with these.
        numbered: Rows that mean the same in every model, such as 'missing' or the hour.
        tokens: What the next rows stand for, in their order.
        shared: Rows into which tokens are hashed, or numbers sorted. With another number of
            them each means something else.
        otherwise: Names of other rows that are looked at for what those of this name lack.
    """

    name: str
    table: str = ""
    kind: str = "tokens"
    numbered: int = 0
    tokens: tuple[str, ...] = ()
    shared: int = 0
    otherwise: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self.numbered + len(self.tokens) + self.shared


def offsets(rows: Sequence[Rows]) -> list[int]:
    """The first row of each in its table."""
    ends: dict[str, int] = {}
    starts = []
    for one in rows:
        starts.append(ends.get(one.table, 0))
        ends[one.table] = starts[-1] + one.size
    return starts


def matched(now: Rows, before: Rows) -> dict[int, int]:
    """Which rows mean the same: number in `now` to number in `before`."""
    if now.kind != before.kind:
        return {}
    pairs = {i: i for i in range(min(now.numbered, before.numbered))}
    known = {token: before.numbered + i for i, token in enumerate(before.tokens)}
    for i, token in enumerate(now.tokens, now.numbered):
        if token in known:
            pairs[i] = known[token]
    if now.shared == before.shared:
        first, old = now.size - now.shared, before.size - before.shared
        pairs.update({first + i: old + i for i in range(now.shared)})
    return pairs


def write(rows: Sequence[Rows], folder: str) -> None:
    """Writes what the rows stand for into a folder, which is made if it is not there."""
    tf.io.gfile.makedirs(folder)
    text = json.dumps({"format": _FORMAT, "rows": [asdict(one) for one in rows]})
    with tf.io.gfile.GFile(_path(folder), "wb") as file:
        file.write(gzip.compress(text.encode(), mtime=0))  # the same rows give the same bytes


def read(folder: str) -> list[Rows] | None:
    """What `write` wrote into a folder, or None.

    Raises:
        ModelError: The file is damaged, or of another version of BabelRank.
    """
    path = _path(folder)
    if not tf.io.gfile.exists(path):
        return None
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = json.loads(gzip.decompress(file.read()))
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}")
        return [Rows(**{n: _frozen(v) for n, v in one.items()}) for one in content["rows"]]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: cannot read what the rows stand for: {error}. Delete the file, and rows are "
            f"matched by their numbers; or start from another model."
        ) from error


def _path(folder: str) -> str:
    return f"{folder.rstrip('/')}/{FILE}"


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
