"""Tests of predictions for files: each row is predicted or in the quarantine, once, in order."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from babelrank.components.errors import BadRowsError, ConfigError, InputError
from babelrank.components.ingest.summary import Summary
from babelrank.components.serving.batch import job as batch_job
from babelrank.components.serving.batch import model as batch_model
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.batch.job import Item, Job
from babelrank.components.serving.batch.rows import too_long
from babelrank.components.serving.batch.shards import InputFile, Shards
from babelrank.components.serving.predict import Predictor
from babelrank.components.serving.translate import Translator

BEAM = [
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
]
Predict = Callable[..., Summary]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def predict(out: Path) -> Predict:
    """Predicts the files of a pattern."""

    def run(model: Path, pattern: Path, workers: int = 1, **settings: Any) -> Summary:
        job = make_job(model, out, **settings)
        files = batch_job.find(str(pattern))
        items = batch_job.to_do(files, job, workers)
        batch_job.work(items, job, beam.Pipeline(options=PipelineOptions(BEAM)))
        return batch_job.outcome(files, job)

    return run


def make_job(model: Path, out: Path, **settings: Any) -> Job:
    config = BatchConfig(**settings)
    (version,) = model.iterdir()
    task = batch_model.check(version, config)
    shards = Shards(str(out / "predictions"), str(out / "quarantine"), config.output)
    return Job(str(version), task, config, shards)


def predictions(out: Path) -> list[dict[str, Any]]:
    """All predictions, file by file and shard by shard."""
    found: list[dict[str, Any]] = []
    for path in sorted((out / "predictions").glob("predictions-*")):
        if path.suffix == ".parquet":
            found += pa.parquet.read_table(path).to_pylist()
        else:
            lines = gzip.decompress(path.read_bytes()).decode().splitlines()
            found += [json.loads(line) for line in lines]
    return found


def quarantined(out: Path) -> list[tuple[str, str]]:
    """Position and reason of the bad rows."""
    rows = []
    for path in sorted((out / "quarantine").glob("quarantine-*.jsonl")):
        rows += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["position"], row["reason"]) for row in rows]


ROWS = [
    {"id": "r1", "price": "1", "user": "é", "tags": "a;b", "ts": "1970-01-02"},
    {"id": "r2", "price": "", "user": "", "tags": "", "ts": ""},
    {"id": "r3", "price": "2.5", "user": "ab", "tags": "c", "ts": "86400"},
    {"id": "", "price": "-3e1", "user": "abc", "tags": "", "ts": ""},
]
SCORES = [2011.5, 0.0, 1023.0, 0.0]
HEADER = "id,other,price,user,tags,ts\n"


def csv(rows: list[dict[str, str]], separator: str = ",") -> str:
    lines = [[r["id"], "x", r["price"], r["user"], r["tags"], r["ts"]] for r in rows]
    return HEADER.replace(",", separator) + "".join(separator.join(r) + "\n" for r in lines)


def test_as_from_standard_input(scorer: Path, tmp_path: Path, out: Path, predict: Predict):
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(csv(ROWS).encode()))
    summary = predict(scorer, tmp_path / "log.csv.gz", keep=("id",), batch_size=3)
    expected = [
        {"row": n, "id": row["id"], "score": score}
        for n, (row, score) in enumerate(zip(ROWS, SCORES, strict=True), 1)
    ]
    assert predictions(out) == expected
    asked = Predictor(scorer).predict([json.dumps(row) for row in ROWS])
    assert [one["score"] for one in asked] == SCORES
    assert (summary.read, summary.written, summary.quarantined) == (4, {"predicted": 4}, {})
    assert not (out / "quarantine").exists() or not quarantined(out)


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet"])
def test_formats(kind: str, scorer: Path, tmp_path: Path, out: Path, predict: Predict):
    path = tmp_path / f"log.{kind}"
    if kind == "tsv":
        path.write_text(csv(ROWS, "\t"), encoding="utf-8")
    elif kind == "jsonl":
        rows = [ROWS[0] | {"tags": ["a", "b"], "price": 1}, *ROWS[1:]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        rows = [row | {"price": float(row["price"] or "nan")} for row in ROWS]
        lists = [row["tags"].split(";") if row["tags"] else None for row in ROWS]
        table = pa.Table.from_pylist(rows).drop(["tags"]).append_column("tags", pa.array(lists))
        pyarrow.parquet.write_table(table, path)
    predict(scorer, path, keep=("id", "tags"), output="parquet")
    found = predictions(out)
    assert [row["score"] for row in found] == SCORES
    assert [row["row"] for row in found] == [1, 2, 3, 4]
    assert [row["id"] for row in found] == ["r1", "r2", "r3", ""]
    texts = {"tsv": "a;b"}.get(kind, '["a", "b"]')
    assert found[0]["tags"] == texts


def test_the_quarantine_holds_just_the_bad_rows(
    scorer: Path, tmp_path: Path, out: Path, predict: Predict
):
    good = "g,x,{},u,,\n"
    lines = [
        good.format(0),
        "b,x,cheap,u,,\n",  # line 3
        good.format(1),
        "b,x,1,u,,yesterday\n",  # line 5
        "b,x,1,u\n",
        "\n",  # no row
        good.format(2),
        f"b,x,1,{'u' * 51},,\n",  # line 9
        "b,x,666,u,,\n",
        good.format(3),
        "b,x,777,u,,\n",  # line 12
        "b,x,inf,u,,\n",
        good.format(4),
    ]
    (tmp_path / "log.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    summary = predict(scorer, tmp_path / "log.csv", max_characters=50)
    assert sorted(quarantined(out)) == [
        ("line 10", "model_error"),
        ("line 12", "not_finite"),
        ("line 13", "not_a_number"),
        ("line 3", "not_a_number"),
        ("line 5", "bad_timestamp"),
        ("line 6", "wrong_field_count"),
        ("line 9", "too_long"),
    ]
    rows = [1, 3, 6, 9, 12]  # the blank line is none
    assert predictions(out) == [{"row": row, "score": 10.0 + n} for n, row in enumerate(rows)]
    assert (summary.read, sum(summary.quarantined.values())) == (12, 7)
    written = Summary.from_json((out / "quarantine" / "summary.json").read_text())
    assert written.quarantined == summary.quarantined
    assert "the beast" in summary.examples["model_error"][1].detail
    with pytest.raises(BadRowsError, match=r"7 of 12 rows are bad .*; here allows 1\.00%"):
        summary.check_bad_fraction(0.01, "here", "the input")


def test_no_good_row(scorer: Path, tmp_path: Path, out: Path, predict: Predict):
    (tmp_path / "log.csv").write_text(HEADER + "b,x,cheap,u,,\n" * 3)
    summary = predict(scorer, tmp_path / "log.csv")
    assert summary.quarantined == {"not_a_number": 3}
    assert predictions(out) == []


def test_no_rows(scorer: Path, tmp_path: Path, out: Path, predict: Predict):
    (tmp_path / "log.csv").write_text(HEADER)
    summary = predict(scorer, tmp_path / "log.csv")
    assert (summary.read, predictions(out)) == (0, [])
    (tmp_path / "none.csv").touch()
    with pytest.raises(InputError, match="none.csv: the file is empty; expected rows"):
        predict(scorer, tmp_path / "none.csv")
    with pytest.raises(InputError, match="no file matches"):
        predict(scorer, tmp_path / "*.tsv")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """70 rows in row groups of 10; that of price 33 is bad."""
    path = tmp_path / "log.parquet"
    prices = [str(n) if n != 33 else "bad" for n in range(70)]
    columns = {"price": prices, "user": [""] * 70, "tags": [""] * 70, "ts": [""] * 70}
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=10)
    return path


EXPECTED = [{"row": n + 1, "score": float(n)} for n in range(70) if n != 33]


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_workers_share_a_file(workers: int, scorer: Path, log: Path, out: Path, predict: Predict):
    predict(scorer, log, workers, rows_per_shard=15)
    assert predictions(out) == EXPECTED
    assert quarantined(out) == [("row group 3, row 3", "not_a_number")]
    names = sorted(path.name for path in (out / "predictions").glob("predictions-*"))
    assert len(names) == 4  # 20, 20, 20, 10 rows
    assert all(name.startswith("predictions-log.parquet-") for name in names)


def test_names_of_files_are_no_patterns(scorer: Path, tmp_path: Path, predict: Predict):
    for name in ("a[1].csv", "a1.csv"):
        (tmp_path / name).write_text(csv(ROWS[:2]))
    assert predict(scorer, tmp_path / "a*.csv").read == 4


def test_a_file_that_is_gone(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.csv: there is no such file"):
        batch_job.files_of([str(tmp_path / "gone.csv")])


def test_what_is_finished_is_not_done_again(scorer: Path, log: Path, out: Path, predict: Predict):
    predict(scorer, log, rows_per_shard=15)
    data = sorted((out / "predictions").glob("predictions-*"))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in data}
    # As if the third shard had been half written when the process was killed.
    (part,) = (out / "predictions" / ".parts").glob("*-00002.json")
    part.unlink()
    data[2].unlink()
    (out / "predictions" / f".{data[2].name}-12345678.tmp").write_bytes(b"half")
    job = make_job(scorer, out, rows_per_shard=15)
    job.shards.tidy()
    predict(scorer, log, rows_per_shard=15)
    assert predictions(out) == EXPECTED
    for n, path in enumerate(data):
        content, time = before[path]
        assert path.read_bytes() == content
        assert (path.stat().st_mtime_ns == time) == (n != 2)
    assert not list((out / "predictions").glob(".*.tmp"))
    assert batch_job.to_do(batch_job.find(str(log)), job) == []


def test_a_file_that_changed_is_done_again(scorer: Path, log: Path, out: Path, predict: Predict):
    predict(scorer, log, rows_per_shard=15)
    columns = {"price": ["8"], "user": [""], "tags": [""], "ts": [""]}
    pyarrow.parquet.write_table(pa.table(columns), log)
    os.utime(log, (1, 1))
    predict(scorer, log, rows_per_shard=15)
    assert predictions(out) == [{"row": 1, "score": 8.0}]
    assert quarantined(out) == []


def test_a_file_that_breaks_off_leaves_whole_shards(
    reverser: Path, tmp_path: Path, out: Path, predict: Predict
):
    lines = [f"{n} {random.Random(n).randbytes(300).hex()}" for n in range(1000)]
    whole = gzip.compress("".join(line + "\n" for line in lines).encode(), mtime=0)
    path = tmp_path / "text.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="text.gz: cannot read the file"):
        predict(reverser, path, rows_per_shard=1)
    found = predictions(out)
    assert 200 < len(found) < 500
    assert [row["line"] for row in found] == list(range(1, len(found) + 1))
    path.write_bytes(whole)
    predict(reverser, path, rows_per_shard=1)
    found = [row["translation"].split()[1] for row in predictions(out)]
    assert found == [str(n) for n in range(1000)]


def test_a_column_is_missing(scorer: Path, tmp_path: Path, predict: Predict):
    (tmp_path / "log.csv").write_text("price,user,tags\n1,a,b\n")
    with pytest.raises(InputError, match=r"log.csv: missing column 'ts'"):
        predict(scorer, tmp_path / "log.csv")


def test_examples(scorer: Path, tmp_path: Path, out: Path, predict: Predict):
    def example(price: float, user: bytes) -> bytes:
        features = {
            "price": tf.train.Feature(float_list=tf.train.FloatList(value=[price])),
            "user": tf.train.Feature(bytes_list=tf.train.BytesList(value=[user])),
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    records = [
        example(1, b"a"),
        b"nonsense",
        example(666, b"b"),
        example(777, b""),
        example(2, b""),
    ]
    with tf.io.TFRecordWriter(str(tmp_path / "e.tfrecord.gz"), "GZIP") as file:
        for record in records:
            file.write(record)
    predict(scorer, tmp_path / "e.tfrecord.gz", keep=("user", "none"), batch_size=2)
    assert predictions(out) == [
        {"row": 1, "user": "a", "none": None, "score": 11.0},
        {"row": 5, "user": "", "none": None, "score": 2.0},
    ]
    assert quarantined(out) == [
        ("record 1", "bad_example"),
        ("record 2", "bad_example"),
        ("record 3", "not_finite"),
    ]


def features(**values: Any) -> bytes:
    """A serialized example of texts, numbers, or lists of them."""
    found = {}
    for name, value in values.items():
        several = value if isinstance(value, list) else [value]
        if isinstance(several[0], bytes):
            found[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=several))
        elif isinstance(several[0], int):
            found[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=several))
        else:
            found[name] = tf.train.Feature(float_list=tf.train.FloatList(value=several))
    return tf.train.Example(features=tf.train.Features(feature=found)).SerializeToString()


def records(path: Path, *examples: bytes) -> Path:
    with tf.io.TFRecordWriter(str(path)) as file:
        for one in examples:
            file.write(one)
    return path


def test_examples_with_texts_that_are_too_long(
    scorer: Path, tmp_path: Path, out: Path, predict: Predict
):
    path = records(
        tmp_path / "e.tfrecord",
        features(user="é".encode() * 30),  # 60 bytes
        features(user=b"u" * 31),
        features(tags=[b"t" * 16] * 2),
        features(other=b"o" * 99, price=7.0),
        b"\xff" * 99,
    )
    predict(scorer, path, max_characters=30, batch_size=2)
    assert [row["row"] for row in predictions(out)] == [1, 4]
    assert quarantined(out) == [
        ("record 1", "too_long"),
        ("record 2", "too_long"),
        ("record 4", "bad_example"),
    ]


def test_a_feature_of_several_kinds_is_kept(
    scorer: Path, tmp_path: Path, out: Path, predict: Predict
):
    rows = [
        features(id=b"a", price=1.0),
        features(id=7, price=2.0),
        features(id=[0.5, 1.0]),
        features(),
    ]
    predict(scorer, records(tmp_path / "one.tfrecord", rows[0], rows[3]), keep=("id", "price"))
    alike = predictions(out)
    assert [(row["id"], row["price"]) for row in alike] == [("a", "1.0"), (None, None)]
    predict(scorer, records(tmp_path / "two.tfrecord", *rows), keep=("id", "price"))
    found = predictions(out)[len(alike) :]
    assert [row["id"] for row in found] == ["a", "7", "[0.5, 1.0]", None]
    assert [row["price"] for row in found] == ["1.0", "2.0", None, None]


def test_examples_of_sentences(reverser: Path, tmp_path: Path, out: Path, predict: Predict):
    lines = [b"one two", b"", b"x" * 31, b"a", b"longer one"]
    path = records(tmp_path / "e.tfrecord", *(features(source=line) for line in lines))
    predict(reverser, path, max_characters=30, batch_size=2, nbest=2)
    found = predictions(out)
    assert [row["translations"][0] for row in found] == ["two one", "", "a", "one longer"]
    # The score is minus the longest of the batch: sentences are asked by their length.
    assert [row["scores"][0] for row in found] == [-10.0, -1.0, -1.0, -10.0]
    assert quarantined(out) == [("record 2", "too_long")]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["ab", "abc", None, "é€"]),
        pa.array(["ab", "abc", None, "é€"], pa.large_string()),
        pa.array(["ab", "abc", None, "é€"]).dictionary_encode(),
        pa.array([["a", "b"], ["ab", "c"], None, ["é", None]]),
        pa.array([["a", "b"], ["ab", "c"], [], ["é"]], pa.large_list(pa.large_string())),
        pa.array([b"ab", b"abc", None, b""]),
    ],
)
def test_which_texts_are_too_long(array: pa.Array):
    assert too_long(array, 2).tolist() == [False, True, False, False]
    assert too_long(array.slice(1), 2).tolist() == [True, False, False]


def test_numbers_are_no_long_texts():
    assert too_long(pa.array([1234]), 2).tolist() == [False]
    assert too_long(pa.array([[1234]]), 2).tolist() == [False]


def test_what_no_finished_shard_has_written_is_removed(
    scorer: Path, log: Path, out: Path, predict: Predict
):
    predict(scorer, log, rows_per_shard=15)
    (first, *_) = sorted((out / "predictions").glob("predictions-*"))
    start = first.name.removesuffix("-00000.jsonl.gz")
    name = start.removeprefix("predictions-")
    stale = [
        out / "predictions" / f"{start}-00007.jsonl.gz",
        out / "quarantine" / f"quarantine-{name}-00000.jsonl",
        out / "quarantine" / f"quarantine-{name}-00007.jsonl",
    ]
    other = out / "predictions" / f"{start}-0x-0123456789abcdef-00000.jsonl.gz"
    for path in (*stale, other):
        path.write_bytes(first.read_bytes())
    predict(scorer, log, rows_per_shard=15)
    assert [path for path in stale if path.exists()] == []
    assert other.exists()
    other.unlink()
    assert predictions(out) == EXPECTED
    assert len(quarantined(out)) == 1


def test_names_of_files():
    def name(path: str) -> str:
        return InputFile(path, 1, 0.0).name

    assert name("/a/day=1/part.csv") != name("/a/day=2/part.csv")
    assert re.fullmatch(r"part\.csv-[0-9a-f]{16}", name("/a/day=1/part.csv"))
    long = name("/a/" + "ü" * 127)
    assert len(long.encode()) == 117
    assert long.startswith("ü" * 50 + "-")
    assert len(name("/a/x" + "ü" * 127).encode()) == 116  # no half of a letter


def test_lines(reverser: Path, tmp_path: Path, out: Path, predict: Predict):
    raw = b"c b a\r\n\ncaf\xe9\n" + b"x" * 31 + b"\none two\n \xc2\xa0 \nlast"
    (tmp_path / "text.en").write_bytes(raw)
    summary = predict(reverser, tmp_path / "text.en", max_characters=30)
    assert predictions(out) == [
        {"line": 1, "translation": "a b c"},
        {"line": 2, "translation": ""},
        {"line": 5, "translation": "two one"},
        {"line": 6, "translation": ""},
        {"line": 7, "translation": "last"},
    ]
    assert sorted(quarantined(out)) == [("line 3", "not_utf8"), ("line 4", "too_long")]
    assert summary.read == 7


def test_several_translations(reverser: Path, tmp_path: Path, out: Path, predict: Predict):
    lines = ["b a", "", "one two three"] * 20
    (tmp_path / "text").write_text("".join(line + "\n" for line in lines))
    predict(reverser, tmp_path / "text", nbest=3, batch_size=4)
    asked = list(Translator(reverser).translate(lines, 4, 3))
    assert predictions(out) == [
        {"line": n, "translations": list(one.translations), "scores": list(one.scores)}
        for n, one in enumerate(asked, 1)
    ]


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("scorer", {"nbest": 2}, "nbest: this is a ranking model; takes a translation model"),
        ("scorer", {"format": "text"}, "format: got text; a ranking model takes rows"),
        ("scorer", {"keep": ("score",)}, "keep: score is the name of an output"),
        ("scorer", {"keep": ("row",)}, "keep: row is the name of an output"),
        ("scorer", {"keep": ("a", "a")}, "keep: a stands twice"),
        ("reverser", {"keep": ("a",), "format": "text"}, "keep: lines of text have no columns"),
        ("reverser", {"nbest": 4}, "nbest: got 4; takes 1 to 3"),
        ("reverser", {"format": "csv"}, "format: got csv; a translation model takes text"),
        ("scorer", {"max_bad_fraction": 2}, "max_bad_fraction: got 2; takes 0 to 1"),
        ("scorer", {"batch_size": 0}, "batch_size: got 0; takes 1 or more"),
    ],
)
def test_settings_that_fit_no_model(
    model: str, settings: Any, message: str, request: pytest.FixtureRequest, tmp_path: Path
):
    with pytest.raises(ConfigError, match=message):
        make_job(request.getfixturevalue(model), tmp_path, **settings)


def test_names_that_tell_no_format(scorer: Path):
    with pytest.raises(ConfigError, match="log.txt: its name does not tell its format"):
        BatchConfig().format_of("log.txt", "ranking")
    config = BatchConfig()
    assert config.format_of("a.b/LOG.CSV.zst", "ranking") == "csv"
    assert config.format_of("a.ndjson", "ranking") == "jsonl"
    assert config.format_of("a.csv", "translation") == "text"
    assert BatchConfig(format="tsv").format_of("a.csv", "ranking") == "tsv"
    assert config.format_of("a.csv.bz2", "ranking") == "csv"


@pytest.mark.parametrize("config", [BatchConfig(), BatchConfig(format="tfrecord")])
def test_records_are_plain_or_gz(config: BatchConfig):
    assert config.format_of("a.tfrecord.gz", "ranking") == "tfrecord"
    with pytest.raises(ConfigError, match=r"a\.tfrecord\.zst: takes TFRecord files that are plain"):
        config.format_of("a.tfrecord.zst", "ranking")


def test_lines_of_text_have_no_columns_to_keep(reverser: Path, tmp_path: Path):
    job = make_job(reverser, tmp_path, keep=["id"])
    assert job.config.format_of("a.tfrecord", job.task) == "tfrecord"
    with pytest.raises(ConfigError, match="keep: a.txt holds lines of text, which have no columns"):
        job.config.format_of("a.txt", job.task)


def test_lanes(scorer: Path, log: Path, out: Path):
    job = make_job(scorer, out)
    (file,) = batch_job.find(str(log))
    assert batch_job.to_do([file], job, 3) == [Item(file, lane, 3) for lane in range(3)]
    assert batch_job.to_do([file, file], job, 3) == [
        Item(file, lane, 2) for _ in range(2) for lane in range(2)
    ]
