"""Tests of every format as two columns."""

import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from babelrank.components.config import from_dict
from babelrank.components.errors import InputError
from babelrank.components.ingest.spans import InputFile
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.formats import read_pairs

PAIRS = [("Hi.", "Hallo!"), ('"Go" – now', "„Los“"), ("end", "Ende")]


def read(path, file_format="tsv", source="en", target="de", beside="", **keys):
    """Pairs, and (position, reason) of the bad ones."""
    if file_format == "moses":
        source = {"language": "en", "path": "x"}
        target = {"language": "de", "path": "y"}
    else:
        keys["path"] = "x"
    data = {"format": file_format, "source": source, "target": target} | keys
    config = from_dict(DataConfig, data, "data")
    pairs, bad = [], []
    for block in read_pairs(InputFile(str(path), 0, beside=str(beside)), config):
        pairs += [(row["source"], row["target"]) for row in block.batch.to_pylist()]
        bad += [(row.location.position, row.reason) for row in block.bad]
        assert [place.raw for place in block.locate(range(block.batch.num_rows))]
    assert not bad or len(bad[0]) == 2
    return pairs if not bad else (pairs, bad)


def named(side, name):
    return {"language": side, "column": name}


@pytest.mark.parametrize(
    ("ending", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_tsv(tmp_path, ending, compress):
    path = tmp_path / f"a.tsv{ending}"
    path.write_bytes(compress("".join(f"{s}\t{t}\tCC-BY\n" for s, t in PAIRS).encode()))
    assert read(path) == PAIRS
    assert read(path, source=named("en", 1), target=named("de", 0)) == [(t, s) for s, t in PAIRS]


def test_tsv_by_name(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("ref\ten\tes\nG 1:1\tIn the\tEN el\n")
    sides = {"source": named("es", "es"), "target": named("en", "en")}
    assert read(path, **sides) == [("EN el", "In the")]


def test_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('1,"Hi, ""you""",Hallo\n2,a,"b\nc"\n')
    sides = {"source": named("en", 1), "target": named("de", 2)}
    assert read(path, "csv", **sides) == [('Hi, "you"', "Hallo"), ("a", "b\nc")]
    path.write_text('de,en\nHallo,"Hi, you"\n')
    sides = {"source": named("en", "en"), "target": named("de", "de")}
    assert read(path, "csv", **sides) == [("Hi, you", "Hallo")]


def test_jsonl(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"de": t, "id": i, "en": s} for i, (s, t) in enumerate(PAIRS)]
    path.write_text("\n".join(map(json.dumps, rows)) + '\n{"en": "only"}\n')
    assert read(path, "jsonl") == [*PAIRS, ("only", None)]
    sides = {"source": named("en", "de"), "target": named("de", "en")}
    assert read(path, "jsonl", **sides)[:3] == [(t, s) for s, t in PAIRS]


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {
        "n": [1, 2, 3],
        "de": pa.array([t for _, t in PAIRS]).dictionary_encode(),
        "en": pa.array([s for s, _ in PAIRS], pa.large_string()),
    }
    pq.write_table(pa.table(columns), path)
    assert read(path, "parquet") == PAIRS
    with pytest.raises(InputError, match="the column 'n' holds int64; expected texts"):
        read(path, "parquet", source=named("en", "n"), target=named("de", "de"))


def test_parquet_with_bytes(tmp_path):
    path = tmp_path / "a.parquet"
    source = pa.array([b"a", b"\xff", b"", None, "é".encode()])
    pq.write_table(pa.table({"en": source, "de": pa.array(list("vwxyz"))}), path)
    pairs, bad = read(path, "parquet")
    assert [(s or "", t) for s, t in pairs] == [("a", "v"), ("", "x"), ("", "y"), ("é", "z")]
    assert bad == [("row group 0, row 1", "not_utf8")]


def test_moses(tmp_path):
    (tmp_path / "c.en").write_text("\n".join(s for s, _ in PAIRS))
    (tmp_path / "c.de.gz").write_bytes(gzip.compress("\n".join(t for _, t in PAIRS).encode()))
    assert read(tmp_path / "c.en", "moses", beside=tmp_path / "c.de.gz") == PAIRS
    (tmp_path / "d.de").write_text("x\n")
    with pytest.raises(InputError, match=r"c\.en has 3 lines and .*d\.de has 1"):
        read(tmp_path / "c.en", "moses", beside=tmp_path / "d.de")
    with pytest.raises(InputError, match="an explicit split takes a source and a target"):
        read(tmp_path / "c.en", "moses")


def test_tmx(tmp_path):
    path = tmp_path / "a.tmx"
    unit = '<tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
    path.write_text(f"<tmx><body>{unit}</body></tmx>")
    assert read(path, "tmx") == [("a", "b")]


def test_po(tmp_path):
    path = tmp_path / "a.po"
    path.write_text('msgid "a"\nmsgstr "b"\n')
    assert read(path, "po") == [("a", "b")]
