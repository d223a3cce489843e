"""Counting the texts that subwords are learned from, with Beam.

One work item is one file of examples: its worker counts in memory and leaves one file of counts,
so that no word crosses a shuffle. What is counted are words, or whole sentences where words are
not separated by spaces.
"""

from __future__ import annotations

import heapq
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.io import fileio

from babelrank.components.errors import InputError
from babelrank.components.remote import own_errors
from babelrank.components.translation.preprocessing import normalize
from babelrank.components.translation.records import SOURCE, TARGET

SIDES = (SOURCE, TARGET)
_BATCH = 4096
_LONGEST = 20
_SEED = 20_111


@dataclass
class SideCounts:
    """What one side of the parallel text consists of.

    Attributes:
        texts: How often each word (or sentence) occurs.
        sentences: Number of sentences, those without any character left out.
        longest: The sentences with most characters, longest first.
    """

    texts: Counter[str] = field(default_factory=Counter)
    sentences: int = 0
    longest: list[str] = field(default_factory=list)

    def add(self, sentences: list[str], by_word: bool) -> None:
        """Counts sentences."""
        sentences = [sentence for sentence in sentences if sentence]
        self.sentences += len(sentences)
        self.texts.update(" ".join(sentences).split(" ") if by_word else sentences)
        self._keep_longest(sentences)

    def merge(self, other: SideCounts) -> None:
        """Adds the counts of another."""
        self.texts.update(other.texts)
        self.sentences += other.sentences
        self._keep_longest(other.longest)

    def sample(self, size: int) -> None:
        """Keeps some of the texts: always the same ones, whatever order they came in."""
        if len(self.texts) > size:
            kept = heapq.nsmallest(size, self.texts, key=_order)
            self.texts = Counter({text: self.texts[text] for text in kept})

    def _keep_longest(self, sentences: Iterable[str]) -> None:
        found = {*self.longest, *sentences}
        self.longest = heapq.nsmallest(_LONGEST, found, key=lambda text: (-len(text), text))


@dataclass(frozen=True)
class CountTexts:
    """Beam's part: counts the files of a split.

    Attributes:
        files: TFRecord files of examples.
        by_word: Sides of which words are counted, and not sentences.
        max_sentences: Different sentences that are kept, a side.
        folder: Scratch folder, shared by all workers.
    """

    files: tuple[str, ...]
    by_word: frozenset[str]
    max_sentences: int
    folder: str

    def run(self, pipeline: beam.Pipeline) -> dict[str, SideCounts]:
        """Runs a pipeline; returns the counts by side.

        Raises:
            InputError: A file is damaged, or its examples are no sentence pairs.
        """
        with own_errors(), pipeline as opened:
            _ = (
                opened
                | "Files" >> beam.Create(list(enumerate(self.files)))
                | "Spread" >> beam.Reshuffle()
                | "CountTexts" >> beam.ParDo(_CountFile(self))
            )
        counts = {side: SideCounts() for side in SIDES}
        for path in sorted(fileio.glob(os.path.join(self.folder, "part-*.json"))):
            with fileio.open(path) as file:
                part = json.loads(file.read())
            for side, found in counts.items():
                data = part[side]
                found.merge(SideCounts(Counter(data["texts"]), data["sentences"], data["longest"]))
                self.limit(side, found)
        if fileio.exists(self.folder):
            fileio.rmtree(self.folder)
        return counts

    def limit(self, side: str, counts: SideCounts, slack: int = 1) -> None:
        """Holds the number of sentences down; words are kept all."""
        if side not in self.by_word and len(counts.texts) > slack * self.max_sentences:
            counts.sample(self.max_sentences)


class _CountFile(beam.DoFn):
    """(number, path) -> nothing; writes the file's counts."""

    def __init__(self, plan: CountTexts) -> None:
        self._plan = plan

    def process(self, element: tuple[int, str]) -> None:
        number, path = element
        plan = self._plan
        counts = {side: SideCounts() for side in SIDES}
        for batch in _batches(path):
            for side, found in counts.items():
                found.add([text.decode() for text in batch[side].tolist()], side in plan.by_word)
                plan.limit(side, found, slack=2)
        for side, found in counts.items():
            plan.limit(side, found)
        name = os.path.join(plan.folder, f"part-{number:05d}.json")
        fileio.makedirs(plan.folder)
        with fileio.open(name + ".tmp", "w") as file:
            file.write(json.dumps({side: vars(found) for side, found in counts.items()}))
        fileio.rename(name + ".tmp", name, overwrite=True)


def _batches(path: str) -> Iterator[dict[str, Any]]:
    """Normalised sentences of a file: dicts of [B] bytes by side."""
    spec = {side: tf.io.FixedLenFeature([], tf.string) for side in SIDES}

    def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = tf.io.parse_example(records, spec)
        return {side: normalize(text) for side, text in pairs.items()}

    kind = "GZIP" if path.endswith(".gz") else ""
    records = tf.data.TFRecordDataset(path, kind).batch(_BATCH)
    try:
        yield from records.map(parse, num_parallel_calls=2).as_numpy_iterator()
    except tf.errors.InvalidArgumentError as error:
        raise InputError(
            f"{path}: the examples are no sentence pairs ({_first_line(error)}); expected one "
            f"text each in {SOURCE!r} and {TARGET!r}, as ParallelTextExampleGen writes them."
        ) from error
    except tf.errors.DataLossError as error:
        raise InputError(
            f"{path}: the file is damaged ({_first_line(error)}); run the ingest step again."
        ) from error


def _order(text: str) -> tuple[int, str]:
    """Random but fixed: a hash with a seed, then the text itself."""
    return zlib.crc32(text.encode(), _SEED), text


def _first_line(error: Any) -> str:
    return str(error.message).strip().splitlines()[0][:200]
