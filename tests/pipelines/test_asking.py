"""Tests of `babelrank predict` and `babelrank evaluate`: streams, files and exit codes."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from babelrank.components.serving import predict, translate, versions
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowsDescription
from babelrank.components.serving.translate import Translated
from babelrank.pipelines import asking, cli


@pytest.fixture(autouse=True)
def logging_goes_on() -> Iterator[None]:
    """The commands end all logging, as their process would end."""
    yield
    logging.disable(logging.NOTSET)


class Echo:
    """Stands for a ranking model."""

    def __init__(self, path: Path) -> None:
        pass

    def predict(self, lines: Any, batch: int, quarantine: Any) -> Any:
        return (json.loads(line) for line in lines)


class Upper:
    """Stands for a translation model that raises its voice; remembers the last batch size."""

    batch = 0
    description = LinesDescription(source_language="en", target_language="de", beam_size=2)

    def __init__(self, path: Path) -> None:
        pass

    def translate(self, lines: Any, batch: int, nbest: int = 1) -> Any:
        type(self).batch = batch
        for line in lines:
            texts = (line.upper(), line)[:nbest] if line.strip() else ()
            yield Translated(line, texts, (-0.5, -1.0)[: len(texts)])


@pytest.fixture
def ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(predict, "Predictor", Echo)
    model = tmp_path / "ranking"
    RowsDescription(task="ranking", signature="s", output="o", columns=()).save(str(model))
    (model / "saved_model.pb").touch()
    return str(model)


@pytest.fixture
def translation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(translate, "Translator", Upper)
    model = tmp_path / "translation"
    Upper.description.save(str(model))
    (model / "saved_model.pb").touch()
    return str(model)


def feed(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def test_without_a_model(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "babelrank.pipelines.cli", "predict", str(tmp_path / "none")],
        input="{}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "none: no model here. Give the folder of a pushed version" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows(ranking: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    feed(monkeypatch, '{"a": 1}\n{"b": "é"}\n'.encode())
    assert cli.main(["predict", ranking]) == 0
    assert capsys.readouterr().out.splitlines() == ['{"a": 1}', '{"b": "\\u00e9"}']
    feed(monkeypatch, b'{"a": 1}\n{"b": "\xe9"}\n')
    assert cli.main(["predict", ranking]) == 1
    assert "standard input: takes UTF-8" in capsys.readouterr().err
    assert cli.main(["predict", ranking, "--nbest", "2"]) == 2
    assert "is a ranking model; takes a translation model" in capsys.readouterr().err


def test_lines(
    translation: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    feed(monkeypatch, "hello\r\n\n  \na\u2028b\nñ".encode())
    assert cli.main(["predict", translation]) == 0
    assert capsys.readouterr().out == "HELLO\n\n\nA\u2028B\nÑ\n"
    assert Upper.batch == asking.BATCHES["translation"] == translate.BATCH
    feed(monkeypatch, b"")
    assert cli.main(["predict", translation, "--batch-size", "7"]) == 0
    assert capsys.readouterr().out == ""
    assert Upper.batch == 7


def test_nbest(
    translation: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    feed(monkeypatch, "ä\n\nb\n".encode())
    assert cli.main(["predict", translation, "--nbest", "2"]) == 0
    first, blank, last = capsys.readouterr().out.split("\n")[:-1]
    assert first == '{"source": "ä", "translations": ["Ä", "ä"], "scores": [-0.5, -1.0]}'
    assert blank == ""
    assert json.loads(last)["translations"] == ["B", "b"]


def test_lines_that_are_no_text(
    translation: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    feed(monkeypatch, b"ok\ncaf\xe9\n")
    assert cli.main(["predict", translation]) == 1
    caught = capsys.readouterr()
    assert caught.out == "OK\n"
    assert "standard input, line 2: byte 4 is not UTF-8 (e9)" in caught.err


def test_bad_lines_with_a_quarantine(
    translation: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    bad = tmp_path / "bad.jsonl"
    feed(monkeypatch, b"ok\ncaf\xe9\nend\n")
    assert cli.main(["predict", translation, "--quarantine", str(bad)]) == 0
    caught = capsys.readouterr()
    assert caught.out == "OK\n\nEND\n"
    assert caught.err == f"babelrank: 1 bad lines are in {bad}.\n"
    row = json.loads(bad.read_text(encoding="utf-8"))
    assert (row["position"], row["reason"], row["raw"]) == ("line 2", "not_utf8", "caf\ufffd")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "a"], "--keep: goes with --input"),
        (["--output", "x"], "--output: goes with --input"),
        (["--max-bad-fraction", "1"], "--max-bad-fraction: goes with --input"),
        (["--input", "x"], "--output: missing; --input needs a folder"),
        (["--input", "x", "--output", "y", "--quarantine", "z"], "--quarantine: with --input"),
        (["--input", "x", "--output", "y", "--nbest", "2"], "nbest: this is a ranking model"),
        (["--input", "x", "--output", "y", "--workers", "0"], "--workers: got 0; takes 1 or more"),
        (["--input", "x", "--output", "y", "--format", "xml"], "format: got .*xml"),
    ],
)
def test_options_that_do_not_fit(
    ranking: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["predict", ranking, *options]) == 2
    assert re.search(message, capsys.readouterr().err)


SOURCE = ["the cat sat on the mat today", "a dog barks loudly at night"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    texts = {
        "source": SOURCE,
        "one": ["THE CAT SAT ON THE RUG TODAY", "A DOG BARKS AT NIGHT"],
        "two": ["", "A DOG BARKS LOUDLY AT NIGHT"],
        "short": ["ONE LINE"],
        "blank": ["", " "],
    }
    for name, lines in texts.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    return {name: str(tmp_path / f"{name}.gz") for name in texts}


def test_evaluate_is_sacrebleu(
    translation: str, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "out.txt"
    call = ["evaluate", translation, "--source", files["source"], "--reference", files["one"]]
    assert cli.main([*call, "--output", str(output)]) == 0
    upper = [line.upper() for line in SOURCE]
    assert output.read_text(encoding="utf-8").splitlines() == upper
    reference = [["THE CAT SAT ON THE RUG TODAY", "A DOG BARKS AT NIGHT"]]
    bleu = sacrebleu.corpus_bleu(upper, reference).score
    chrf = sacrebleu.corpus_chrf(upper, reference).score
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert float(lines["bleu"].split()[1]) == pytest.approx(bleu, abs=0.006)
    assert float(lines["chrf"].split()[1]) == pytest.approx(chrf, abs=0.006)
    assert "nrefs:1|case:mixed|eff:no|tok:13a" in lines["bleu"]


def test_evaluate_by_several_references(
    translation: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    call = ["evaluate", translation, "--source", files["source"], "--reference", files["one"]]
    assert cli.main([*call, "--reference", files["two"]]) == 0
    upper = [line.upper() for line in SOURCE]
    first = ["THE CAT SAT ON THE RUG TODAY", "A DOG BARKS AT NIGHT"]
    # The blank line is no reference.
    bleu = sacrebleu.corpus_bleu(upper, [first, [None, "A DOG BARKS LOUDLY AT NIGHT"]]).score
    shown = capsys.readouterr().out
    assert float(shown.split()[1]) == pytest.approx(bleu, abs=0.006)
    assert "nrefs:var" in shown


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        ("short", 1, r"source.gz has 2 lines and .*short.gz has 1; takes aligned files"),
        ("none", 1, "none.gz: cannot read the file"),
    ],
)
def test_evaluate_refuses(
    translation: str,
    files: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    reference: str,
    code: int,
    message: str,
):
    path = files.get(reference, files["one"].replace("one", reference))
    call = ["evaluate", translation, "--source", files["source"], "--reference", path]
    assert cli.main(call) == code
    assert re.search(message, capsys.readouterr().err)


def test_evaluate_takes_translation_models_and_lines(
    ranking: str, translation: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
):
    call = ["--source", files["blank"], "--reference", files["one"]]
    assert cli.main(["evaluate", ranking, *call]) == 2
    assert "is a ranking model; evaluate takes a translation model" in capsys.readouterr().err
    assert cli.main(["evaluate", translation, *call]) == 1
    assert "blank.gz: no line to translate" in capsys.readouterr().err


def test_an_altered_version_is_not_asked(
    ranking: str,
    translation: str,
    files: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    pushed = {
        model: versions.push(Path(model), tmp_path / f"serving-{Path(model).name}")[0]
        for model in (ranking, translation)
    }
    aligned = ["--source", files["source"], "--reference", files["one"]]
    assert cli.main(["evaluate", str(pushed[translation]), *aligned]) == 0
    for version in pushed.values():
        (version / "saved_model.pb").write_bytes(b"altered")

    for call in (
        ["predict", str(pushed[ranking])],
        ["predict", str(pushed[translation].parent)],
        ["evaluate", str(pushed[translation]), *aligned],
        ["check", str(pushed[ranking])],
    ):
        assert cli.main(call) == 1, call
        assert "was altered after its push: the SHA-256 of its files" in capsys.readouterr().err
