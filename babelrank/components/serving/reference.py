"""What the trainer's own model answers for some examples, to compare a served one with.

The trainer leaves it beside its other results, and not in the model: it holds data, and is no part
of what is served. Imports no TensorFlow.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelrank.components.errors import InputError

FILE = "reference.json"
ROWS = 64
"""Examples that a trainer keeps."""


@dataclass(frozen=True, kw_only=True)
class ReferenceRow:
    """One example and what the trainer's model answers.

    Attributes:
        inputs: By feature, the numbers [N] that the model was given, without padding.
        outputs: By output of the served model, the answer: a number or a text. Of an output
            [B, K], such as n-best lists, it is the first.
        example: The raw `tf.Example`, serialized; None where it is not known.
    """

    inputs: Mapping[str, Sequence[float]]
    outputs: Mapping[str, float | str]
    example: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Examples of the eval split, and what the trainer's model answers.

    Attributes:
        rows: The examples.
        replaced: Features in whose place a served model takes a constant, as the answers do.
        split: Where the examples are from.
        scanned: Raw examples that were searched for those of the rows; 0: none yet.
        complete: Whether these were all there are.
    """

    rows: tuple[ReferenceRow, ...]
    replaced: tuple[str, ...] = ()
    split: str = "eval"
    scanned: int = 0
    complete: bool = True

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        plain = {**vars(self), "rows": [_plain(row) for row in self.rows]}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(plain), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Reference:
        """The inverse of `save`.

        Raises:
            InputError: The file cannot be read, or holds something else.
        """
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            rows = tuple(_row(one) for one in plain.pop("rows"))
            return cls(**{**plain, "rows": rows, "replaced": tuple(plain["replaced"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: no reference outputs ({error!r}); takes the {FILE} that a training or a "
                "serving check left."
            ) from error


def _plain(row: ReferenceRow) -> dict[str, Any]:
    raw = None if row.example is None else base64.b64encode(row.example).decode()
    return {**vars(row), "example": raw}


def _row(plain: Mapping[str, Any]) -> ReferenceRow:
    raw = None if plain["example"] is None else base64.b64decode(plain["example"])
    return ReferenceRow(**{**plain, "example": raw})
