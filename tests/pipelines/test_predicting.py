"""Tests of `babelrank predict --input`: a command that is killed, goes on, and says what it did."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.ingest.blocks import BadRow, Location
from babelrank.components.ingest.summary import Summary
from babelrank.components.serving import manifest
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.batch.shards import InputFile
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.versions import push
from babelrank.pipelines import beam, predicting, prediction_progress


class Lengths(tf.Module):
    """A translation model whose translation is the number of characters."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "source")])
    def translate(self, source: tf.Tensor) -> dict[str, tf.Tensor]:
        best = tf.strings.as_string(tf.strings.length(source, unit="UTF8_CHAR"))
        return {
            "translation": best,
            "nbest": best[:, None],
            "scores": tf.zeros_like(best[:, None], tf.float32),
        }


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a pushed version."""
    folder = tmp_path_factory.mktemp("lengths")
    module = Lengths()
    path = str(folder / "model")
    tf.saved_model.save(module, path, signatures={"translate": module.translate})
    LinesDescription(source_language="en", target_language="de", beam_size=1).save(path)
    about = manifest.Manifest(digest=manifest.digest(folder / "model"))
    push(folder / "model", folder / "serving", about)
    return folder / "serving"


def command(serving: Path, pattern: str, out: Path, *options: str) -> list[str]:
    start = [sys.executable, "-m", "babelrank.pipelines.cli", "predict", str(serving)]
    return [*start, "--input", pattern, "--output", str(out), *options]


def babelrank(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)


def translations(out: Path) -> list[tuple[int, str]]:
    rows = []
    for path in sorted((out / "predictions").glob("predictions-*.jsonl.gz")):
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        rows += [(row["line"], row["translation"]) for row in map(json.loads, lines)]
    return rows


@pytest.mark.e2e
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_killed_and_started_again(workers: str, serving: Path, tmp_path: Path):
    generator = random.Random(0)
    sizes = [generator.randint(1, 200) for _ in range(15_000)]
    text = "".join(f"{'w' * size}\n" for size in sizes) + "caf\udce9\n"
    (tmp_path / "text.gz").write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")))
    out = tmp_path / "out"
    options = ("--batch-size", "2", "--rows-per-shard", "1000", "--workers", workers)
    call = command(serving, str(tmp_path / "*.gz"), out, *options)
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        parts = out / "predictions" / ".parts"
        deadline = time.monotonic() + 240
        while len(list(parts.glob("*-0*.json"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, (out / "log.txt").read_text()
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in parts.glob("*-0*.json")}
    assert 2 <= len(before) < 10  # of 12
    done = babelrank(serving, str(tmp_path / "*.gz"), out, *options)
    assert done.returncode == 0, done.stderr
    assert translations(out) == [(n, str(size)) for n, size in enumerate(sizes, 1)]
    kept = sum(path.stat().st_mtime_ns == time for path, time in before.items())
    assert kept >= 2  # workers that outlived the kill may have finished others again
    (bad,) = (out / "quarantine").glob("quarantine-*.jsonl")
    row = json.loads(bad.read_text(encoding="utf-8"))
    assert (row["position"], row["reason"]) == ("line 15001", "not_utf8")
    assert done.stdout.startswith("15,000 rows predicted, 1 bad (")
    assert "rows were done before" in done.stderr
    leftovers = [path for path in out.rglob("*") if path.suffix in (".tmp", ".rows")]
    assert leftovers == []
    (tmp_path / "text.gz").rename(tmp_path / "again.gz")
    again = babelrank(serving, str(tmp_path / "*.gz"), out, *options)
    assert "there are also predictions of a file that --input names no more" in again.stdout


@pytest.mark.e2e
def test_what_is_refused(serving: Path, tmp_path: Path):
    (tmp_path / "text").write_bytes(b"one\n\xff\n")
    out = tmp_path / "out"
    done = babelrank(serving, str(tmp_path / "text"), out)
    assert done.returncode == 1
    assert done.stdout.startswith("1 row predicted, 1 bad (")
    assert "1 of 2 rows are bad (50.00%; --max-bad-fraction allows 1.00%)" in done.stderr
    done = babelrank(serving, str(tmp_path / "text"), out, "--max-bad-fraction", "0.5")
    assert (done.returncode, translations(out)) == (0, [(1, "3")])
    assert "nothing was left to do" in done.stdout
    done = babelrank(serving, str(tmp_path / "text"), out, "--batch-size", "3")
    assert done.returncode == 2
    assert f"{out} was begun with another batch_size: None then, 3 now" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_a_model_that_was_altered(serving: Path, tmp_path: Path):
    (version,) = (path for path in serving.iterdir() if path.name.isdecimal())
    shutil.copytree(version, tmp_path / "1")
    with (tmp_path / "1" / "saved_model.pb").open("ab") as file:
        file.write(b"x")
    (tmp_path / "text").write_text("one\n")
    done = babelrank(tmp_path / "1", str(tmp_path / "text"), tmp_path / "out")
    assert done.returncode == 1
    assert "was altered after its push" in done.stderr


def given(**changed: Any) -> SimpleNamespace:
    names = (
        *("format", "delimiter", "columns", "keep", "nbest", "batch_size", "rows_per_shard"),
        *("write", "max_characters", "max_bad_fraction", "workers", "config"),
    )
    return SimpleNamespace(**({name: None for name in names} | changed))


def test_options():
    assert predicting._batch_config(given()) == BatchConfig()  # type: ignore[arg-type]
    config = predicting._batch_config(  # type: ignore[arg-type]
        given(columns="a, b", keep="a", write="parquet", max_bad_fraction=0.5, format="csv")
    )
    assert config == BatchConfig(
        column_names=("a", "b"),
        keep=("a",),
        output="parquet",
        max_bad_fraction=0.5,
        format="csv",
    )


def test_where_beam_runs(serving: Path, tmp_path: Path):
    def arguments(**changed: Any) -> list[str]:
        named: Any = given(model=serving, **changed)
        return beam.arguments(predicting._beam(named))

    assert "--direct_running_mode=in_memory" in arguments()
    assert "--direct_running_mode=in_memory" in arguments(workers=1)
    assert {"--direct_running_mode=multi_processing", "--direct_num_workers=3"} <= set(
        arguments(workers=3)
    )
    config = tmp_path / "translation.yaml"
    config.write_text(
        "data: {path: x, format: tsv, source: {language: en, column: 0}, "
        "target: {language: de, column: 1}}\n"
        "evaluation: {min_bleu: 1}\n"
        "beam: {runner: multi_processing, workers: 7}\n"
    )
    assert "--direct_num_workers=7" in arguments(config=config)
    named: Any = given(model=serving, config=config)
    assert predicting._workers(predicting._beam(named)) == 7
    with pytest.raises(ConfigError, match="--workers: the `beam` section of --config says"):
        arguments(config=config, workers=2)


@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        ({}, 1),
        ({"runner": "multi_processing"}, os.cpu_count()),
        ({"runner": "multi_processing", "workers": 3}, 3),
        (
            {
                "runner": "flink",
                "master": "http://flink:8081",
                "environment": "LOOPBACK",
                "parallelism": 5,
            },
            5,
        ),
    ],
)
def test_how_many_workers_there_are(settings: Any, workers: int):
    assert predicting._workers(beam.BeamConfig(**settings)) == workers


def test_what_was_begun_is_gone_on_with_only(serving: Path, tmp_path: Path):
    (model,) = (path for path in serving.iterdir() if path.name.isdecimal())

    def job(pattern: str, **changed: Any) -> Any:
        named: Any = SimpleNamespace(output=tmp_path, input=pattern)
        return predicting._job(model, "sha256:1", "translation", BatchConfig(**changed), named)

    job("/data/*.txt")
    job("/data/*.txt", workers=3, max_bad_fraction=0.5)
    with pytest.raises(ConfigError, match="another input: '/data/.*txt' then, '/more/.*txt' now"):
        job("/more/*.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


def test_words(tmp_path: Path):
    summary = Summary(read=1003)
    summary.written["predicted"] = 1000
    bad = BadRow(Location("line 3", "x,1"), "not_a_number", "price holds 'x'")
    for _ in range(3):
        summary.add_bad("a.csv", bad)
    assert predicting.words(summary, tmp_path, 1003, 2.0) == (
        "1,000 rows predicted, 3 bad (2.0 s, 502 rows/s).\n"
        "  not_a_number: 3, such as a.csv, line 3: price holds 'x'\n"
        f"  predictions: {tmp_path}/predictions\n"
        f"  quarantine: {tmp_path}/quarantine\n"
    )


def test_predictions_of_other_files_are_told():
    assert predicting._beside([]) == ""
    assert predicting._beside(["a.csv-1", "b.csv-2"]) == (
        "  warning: there are also predictions of 2 files that --input names no more, such as "
        "a.csv-1. Whoever reads the folder reads them too.\n"
    )


def test_how_many_rows_to_expect(tmp_path: Path):
    job: Any = SimpleNamespace(config=BatchConfig(), task="ranking")

    def expected(path: Path) -> int | None:
        file = InputFile(str(path), os.path.getsize(path), 0)
        return prediction_progress.expected_rows([file], job)

    lines = "".join(f"{n % 1000:07},{n % 77:07}\n" for n in range(200_000)).encode()
    (tmp_path / "a.csv").write_bytes(lines)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.csv").write_bytes(b"a\n" * 12)
    pyarrow.parquet.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "d.parquet")
    (tmp_path / "e.tfrecord").write_bytes(b"x")
    assert expected(tmp_path / "a.csv") == pytest.approx(200_000, rel=0.01)
    assert expected(tmp_path / "b.csv.gz") == pytest.approx(200_000, rel=0.2)
    assert expected(tmp_path / "c.csv") == 12
    assert expected(tmp_path / "d.parquet") == 3
    assert expected(tmp_path / "e.tfrecord") is None


def test_rows_that_workers_note(tmp_path: Path):
    (tmp_path / "a-0.rows").write_text("12")
    (tmp_path / "a-1.rows").write_text("30")
    (tmp_path / "a-00000.json").write_text("{}")
    assert prediction_progress.noted_rows(tmp_path) == 42
