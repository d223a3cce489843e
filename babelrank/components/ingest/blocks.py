"""A block: some consecutive rows of one file as an Arrow batch, and how to find them again.

Readers turn a file into blocks; everything after them is the same for every format. A row
that cannot be parsed is not in `batch`, it is in `bad`; nothing else may go missing.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from babelrank.components.errors import InputError


@contextlib.contextmanager
def arrow_errors(path: str) -> Iterator[None]:
    """Says in which file it was that Arrow could not do what was asked for.

    Raises:
        InputError: The body raised an error of Arrow's.
        MemoryError: The memory does not suffice, which no configuration mends.
    """
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: cannot be read as configured: {error}. Does each column hold what the "
            "`data` section says?"
        ) from error


RAW_LIMIT = 1000
"""Raw rows are cut at so many characters in the quarantine."""


@dataclass(frozen=True)
class Location:
    """Where a row stands in its file, such as `line 12`, and its raw text."""

    position: str
    raw: str


@dataclass(frozen=True)
class BadRow:
    """A row that goes to the quarantine.

    Attributes:
        location: Position in the file, and the raw text.
        reason: One word that counts are kept by, such as `not_a_number`.
        detail: The same in words, with the column and the value.
    """

    location: Location
    reason: str
    detail: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one file.

    Attributes:
        batch: The parsable rows; each column either in the wanted type or as text.
        locate: Maps row indices of `batch` to their locations; may be slow.
        bad: Rows that could not be parsed.
        first_row: Number of rows of the same file before this block (bad ones included).
    """

    batch: pa.RecordBatch
    locate: Callable[[Sequence[int]], list[Location]]
    first_row: int
    bad: list[BadRow] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows that the file holds here, parsable or not."""
        return self.batch.num_rows + len(self.bad)


@dataclass(frozen=True)
class Rows:
    """Rows of a block that became examples, and what became of the others.

    Attributes:
        features: Columns of lists, ready to be encoded; [M] rows.
        index: [M] index of each row in the block's batch, rising.
        bad: (index in the batch, reason, detail) of the rows for the quarantine.
        dropped: Number of rows dropped on purpose, by reason.
        counts: Other things worth counting, such as rows that a join found nothing for.
    """

    features: pa.RecordBatch
    index: npt.NDArray[np.int64]
    bad: list[tuple[int, str, str]]
    dropped: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> pa.RecordBatch:
        """The features of the rows that a mask or indices choose."""
        indices = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return self.features.take(pa.array(indices))
