"""A set of 64-bit hashes that takes 8 bytes each and is filled many at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


class Seen:
    """Hashes seen so far, as a few sorted arrays of which each is much longer than the next.

    Args:
        runs: Sorted arrays to begin with, without repetitions.
    """

    def __init__(self, *runs: Hashes) -> None:
        self._runs = [run for run in runs if len(run)]

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, hashes: Hashes) -> Mask:
        """Adds hashes.

        Args:
            hashes: [N] in the order of their rows.

        Returns:
            [N] True where the hash comes for the first time, ever.
        """
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        first = np.ones(len(ordered), bool)
        first[1:] = ordered[1:] != ordered[:-1]
        candidates = ordered[first]
        fresh = ~self._has(candidates)
        self._push(candidates[fresh])
        result = np.zeros(len(hashes), bool)
        result[order[first][fresh]] = True
        return result

    def has(self, hashes: Hashes) -> Mask:
        """[N] True where the hash was added before."""
        order = np.argsort(hashes, kind="stable")
        result = np.empty(len(hashes), bool)
        result[order] = self._has(hashes[order])
        return result

    def to_array(self) -> Hashes:
        """All hashes, sorted."""
        return np.sort(np.concatenate([np.empty(0, np.uint64), *self._runs]), kind="stable")

    def _has(self, ordered: Hashes) -> Mask:
        """The same for sorted hashes, whose places lie side by side: that is what makes it fast."""
        found = np.zeros(len(ordered), bool)
        for run in self._runs:
            places = np.searchsorted(run, ordered)
            found |= run[np.minimum(places, len(run) - 1)] == ordered
        return found

    def _push(self, ordered: Hashes) -> None:
        if not len(ordered):
            return
        self._runs.append(ordered)
        while len(self._runs) > 1 and 4 * len(self._runs[-1]) > len(self._runs[-2]):
            last, before = self._runs.pop(), self._runs.pop()
            # A stable sort of two sorted arrays is a merge.
            self._runs.append(np.sort(np.concatenate([before, last]), kind="stable"))
