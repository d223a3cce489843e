"""Tests of hashes, buckets and what becomes of rows."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from babelrank.components.config import from_dict
from babelrank.components.ingest.po_reader import STATE
from babelrank.components.ingest.seen import Seen
from babelrank.components.ingest.spans import InputFile
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.pairs import (
    PairBlock,
    PairReader,
    length_buckets,
    pair_hashes,
    text_hashes,
)

CONFIG = from_dict(DataConfig, {"path": "x", "source": "en", "target": "de"}, "data")


def block(*pairs, split="", seen=None, states=None):
    columns = [pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1)]
    names = ["source", "target"]
    if states is not None:
        columns.append(pa.array(states))
        names.append(STATE)
    batch = pa.RecordBatch.from_arrays(columns, names)
    file = InputFile("folder/corpus.tsv.gz", 0, split)
    return PairBlock(batch, lambda indices: [], 0, file=file, seen=seen)


def sources(rows):
    return [value[0].decode() for value in rows.features.to_pydict()["source"]]


def test_features():
    rows = PairReader(CONFIG).read(block((" one\u00a0two ", "eins  zwei"), ("", "x"), ("a", "b")))
    assert rows.features.to_pydict() == {
        "source": [[b"one two"], [b"a"]],
        "target": [[b"eins zwei"], [b"b"]],
        "origin": [[b"corpus.tsv.gz"]] * 2,
        "source_length": [[b"01-05"]] * 2,
    }
    assert rows.index.tolist() == [0, 2]
    assert rows.bad == [(1, "empty_source", "no source text")]
    assert rows.dropped == Counter()


def test_repetitions():
    seen = Seen()
    reader = PairReader(CONFIG)
    first = reader.read(block(("a", "b"), ("a", "c"), ("a ", "b"), ("b", "a"), seen=seen))
    assert first.index.tolist() == [0, 1, 3]
    assert first.dropped == {"duplicate": 1}
    second = reader.read(block(("x", "y"), ("a", "c"), seen=seen))
    assert (sources(second), second.dropped) == (["x"], {"duplicate": 1})
    kept = reader.read(block(("a", "b"), ("a", "b")))
    assert (len(kept.index), kept.dropped) == (2, {})


def test_sources_of_explicit_splits():
    reader = PairReader(CONFIG, np.sort(text_hashes(pa.array(["held out", "other"]))))
    pairs = [("held out", "b"), ("a", "held out"), ("held\u3000out ", "c")]
    rows = reader.read(block(*pairs, seen=Seen()))
    assert (rows.index.tolist(), rows.dropped) == ([1], {"in_eval_or_test": 2})
    rows = reader.read(block(*pairs, split="test"))
    assert (rows.index.tolist(), rows.dropped) == ([0, 1, 2], {})


def test_an_explicit_split_is_kept_whole():
    pairs = [("a", "b"), ("a", "b"), ("Tom", "Tom"), ("", "x"), ("x" * 5000, "y")]
    rows = PairReader(CONFIG).read(block(*pairs, split="eval"))
    assert rows.index.tolist() == [0, 1, 2, 4]
    assert [reason for _, reason, _ in rows.bad] == ["empty_source"]


def test_rows_that_the_reader_marked():
    pairs = [("a", "b"), ("c", ""), ("d", "e"), ("", "f")]
    rows = PairReader(CONFIG).read(block(*pairs, states=["", "untranslated", "fuzzy", ""]))
    assert rows.index.tolist() == [0]
    assert rows.dropped == {"untranslated": 1, "fuzzy": 1}
    assert rows.bad == [(3, "empty_source", "no source text")]


def test_hashes_are_the_same_for_ever():
    assert text_hashes(pa.array(["", "Hi.", "東京"])).tolist() == [
        text_hashes(pa.array([text]))[0] for text in ("", "Hi.", "東京")
    ]
    # A change of these would move sentences from one split to another.
    assert text_hashes(pa.array(["Hi."])).tolist() == [10046699714673495010]


def test_a_pair_and_its_reverse_differ():
    one, other = text_hashes(pa.array(["a"])), text_hashes(pa.array(["b"]))
    assert pair_hashes(one, other) != pair_hashes(other, one)
    assert pair_hashes(one, one) != pair_hashes(other, other)


@pytest.mark.parametrize(
    ("words", "bucket"),
    [(1, "01-05"), (5, "01-05"), (6, "06-10"), (11, "11-20"), (40, "21-40"), (41, "41+")],
)
def test_buckets_of_words(words, bucket):
    assert length_buckets(pa.array(["x", " ".join(["w"] * words)]), True)[1].as_py() == bucket


@pytest.mark.parametrize(
    ("characters", "bucket"), [(10, "01-10"), (11, "11-20"), (80, "41-80"), (81, "81+")]
)
def test_buckets_of_characters(characters, bucket):
    assert length_buckets(pa.array(["中" * characters]), False).to_pylist() == [bucket]
