"""From a row of any file to a sentence pair: normalised, judged, and told from its repetitions."""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.ingest.po_reader import STATE
from babelrank.components.ingest.seen import Hashes, Seen
from babelrank.components.ingest.slices import buffer_of, count_in_texts
from babelrank.components.ingest.spans import InputFile
from babelrank.components.translation.cleaning import (
    MOST_MARKS,
    Cleaner,
    Problem,
    normalized,
    piled_marks,
)
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.records import (
    CHARACTER_BUCKETS,
    ORIGIN,
    SOURCE,
    SOURCE_LENGTH,
    TARGET,
    WORD_BUCKETS,
)

_HASH_KEY = "babelrank-pairs1"  # 16 characters, as pandas' hash wants
_NO_FILE = InputFile("", 0)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class PairBlock(Block):
    """Rows of one file, and what is known of that file.

    Attributes:
        file: The file.
        seen: Pairs of the file that came before (and pairs of earlier files); None when
            repetitions are kept.
    """

    file: InputFile = _NO_FILE
    seen: Seen | None = None


class PairReader:
    """Makes examples of rows.

    Args:
        config: The data's configuration.
        elsewhere: Hashes of the sources of explicit eval and test files, sorted.
    """

    def __init__(self, config: DataConfig, elsewhere: Hashes | None = None) -> None:
        self._config = config
        self._cleaner = Cleaner(config.source, config.target, config.cleaning)
        self._elsewhere = Seen() if elsewhere is None else Seen(elsewhere)

    def read(self, block: PairBlock) -> Rows:
        """Rows of a block as features.

        Rows of an explicit split are kept unless a side is empty. Of the others those are
        dropped that the reader marked, whose source is in an explicit split
        (`in_eval_or_test`), or that came before (`duplicate`).
        """
        dropped: Counter[str] = Counter()
        texts = [pc.fill_null(_strings(block.batch, name), "") for name in (SOURCE, TARGET)]
        piled = piled_marks(texts[0]) | piled_marks(texts[1])
        if piled.any():  # emptied, they are refused by the cleaner
            texts = [pc.if_else(pa.array(piled), "", side) for side in texts]
        source, target = map(normalized, texts)
        kept = _unmarked(block.batch, dropped)
        bad = self._cleaner.problems(source, target, whole=bool(block.file.split))
        bad = [
            _piled(problem[0]) if piled[problem[0]] else problem
            for problem in bad
            if kept[problem[0]]
        ]
        kept[[row for row, _, _ in bad]] = False
        index = np.flatnonzero(kept)
        source, target = (side.take(pa.array(index)) for side in (source, target))
        if not block.file.split:
            chosen = self._new(source, target, block.seen, dropped)
            index = index[chosen]
            source, target = (side.filter(pa.array(chosen)) for side in (source, target))
        return Rows(self._features(source, target, block.file), index, bad, dropped)

    def _new(
        self, source: pa.Array, target: pa.Array, seen: Seen | None, dropped: Counter[str]
    ) -> npt.NDArray[np.bool_]:
        """[N] which pairs are neither in an explicit split nor repetitions; counts the others."""
        chosen = np.ones(len(source), bool)
        if not len(self._elsewhere) and seen is None:
            return chosen
        sources = text_hashes(source)
        if len(self._elsewhere):
            chosen = ~self._elsewhere.has(sources)
            dropped["in_eval_or_test"] += int((~chosen).sum())
        if seen is not None:
            remaining = np.flatnonzero(chosen)
            fresh = seen.add(pair_hashes(sources, text_hashes(target))[remaining])
            dropped["duplicate"] += int((~fresh).sum())
            chosen[remaining[~fresh]] = False
        for reason in [reason for reason, count in dropped.items() if not count]:
            del dropped[reason]
        return chosen

    def _features(self, source: pa.Array, target: pa.Array, file: InputFile) -> pa.RecordBatch:
        origin = pa.array([posixpath.basename(file.path)])
        columns = {
            SOURCE: source,
            TARGET: target,
            ORIGIN: origin.take(pa.array(np.zeros(len(source), np.int64))),
            SOURCE_LENGTH: length_buckets(source, self._config.source.spaced),
        }
        offsets = pa.array(np.arange(len(source) + 1, dtype=np.int32))
        lists = [
            pa.ListArray.from_arrays(offsets, column.cast(pa.binary()))
            for column in columns.values()
        ]
        return pa.RecordBatch.from_arrays(lists, list(columns))


def _piled(row: int) -> Problem:
    return row, "combining_marks", f"more than {MOST_MARKS} combining marks stand together"


def text_hashes(texts: pa.Array) -> Hashes:
    """[N] 64-bit hashes of texts, the same everywhere and in every run.

    Two of a hundred million different texts have the same hash with a chance of 1 in 4,000.
    """
    objects = texts.to_numpy(zero_copy_only=False).astype(object)
    hashed: Hashes = pd.util.hash_array(objects, hash_key=_HASH_KEY, categorize=False)
    return hashed


def pair_hashes(sources: Hashes, targets: Hashes) -> Hashes:
    """[N] hashes of pairs from those of their sides; a pair and its reverse differ."""
    return (sources * _MIX) ^ targets


def length_buckets(texts: pa.Array, spaced: bool) -> pa.Array:
    """[N] buckets of the texts' lengths, in words, or in characters of unspaced languages."""
    if spaced:
        data, offsets = buffer_of(texts)
        lengths = count_in_texts(np.flatnonzero(data == ord(" ")), offsets) + 1
        bounds, labels = [6, 11, 21, 41], WORD_BUCKETS
    else:
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        bounds, labels = [11, 21, 41, 81], CHARACTER_BUCKETS
    return pa.array(labels).take(pa.array(np.searchsorted(bounds, lengths, side="right")))


def _strings(batch: pa.RecordBatch, name: str) -> pa.Array:
    array = batch.column(batch.schema.get_field_index(name))
    return array if array.type == pa.string() else array.cast(pa.string())


def _unmarked(batch: pa.RecordBatch, dropped: Counter[str]) -> npt.NDArray[np.bool_]:
    """[N] which rows the reader did not mark to be dropped; counts the others by their mark."""
    if STATE not in batch.schema.names:
        return np.ones(batch.num_rows, bool)
    states = batch.column(batch.schema.get_field_index(STATE))
    dropped.update(state for state in states.to_pylist() if state)
    return np.asarray(pc.equal(states, "").to_numpy(zero_copy_only=False), bool)
