"""The commands that ask an exported model: `predict` and `evaluate`."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from babelrank.components.errors import ConfigError, InputError
from babelrank.pipelines import predicting

if TYPE_CHECKING:
    from babelrank.components.serving.line_quarantine import LineQuarantine

T = TypeVar("T")

BATCHES = {"ranking": 1024, "translation": 64}
"""Rows or lines that go through a model together."""

PREDICT = """A ranking model takes JSON lines, one object of raw columns each, and gives JSON lines:
{"score": ...}; blank lines are skipped.

A translation model takes lines of text and gives one line for each, in the same order; blank
lines stay blank. Only a line feed ends a line. With --nbest N each line is a JSON object,
{"source": ..., "translations": [...], "scores": [...]}, the best translation first; scores are
log-probabilities, normalised by length. Lines are read ahead and sorted by length for speed;
with --batch-size 1, or from a terminal, each line is answered at once.

With --quarantine a bad line does not end the command: it goes to that file with its reason, and
its answer is {"score": null}, or a blank line.

With --input whole files are predicted into the folder --output. Each prediction names the row (or
line) of its file, in their order; bad rows go to the folder's quarantine with file, line and
reason. What was finished before an interruption is not done again."""


def add(commands: Any) -> None:
    """Adds both commands to the parser."""
    predict = commands.add_parser(
        "predict",
        help="ask a model: rows or lines on standard input, answers on standard output",
        description=PREDICT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_model(predict)
    predict.add_argument(
        "--nbest", type=positive, metavar="N", help="the N best translations of each line"
    )
    predict.add_argument(
        "--quarantine", type=Path, metavar="FILE", help="bad lines of standard input, as JSON lines"
    )
    predicting.add_options(predict)
    predict.set_defaults(run=_predict)
    evaluate = commands.add_parser(
        "evaluate",
        help="BLEU and chrF of a translation model on aligned files",
        description="Translates a file and compares it with references, by sacreBLEU. Files are "
        "UTF-8, one sentence a line, and may be compressed (.gz, .bz2, .xz, .zst).",
    )
    _add_model(evaluate)
    evaluate.add_argument("--source", type=Path, required=True, metavar="FILE")
    evaluate.add_argument(
        "--reference",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="translations by people; may be repeated",
    )
    evaluate.add_argument("--output", type=Path, metavar="FILE", help="keep the translations here")
    evaluate.set_defaults(run=_evaluate)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL_DIR", help="a pushed model")
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="rows or lines that go through the model together "
        f"({BATCHES['ranking']} rows, {BATCHES['translation']} lines)",
    )


def positive(text: str) -> int:
    """A whole number of 1 or more, of an argument."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text}; takes a whole number of 1 or more")
    return number


def _predict(options: argparse.Namespace) -> int:
    from babelrank.components.serving import manifest, model_folder

    if options.input is not None:
        if options.quarantine is not None:
            raise ConfigError("--quarantine: with --input it is a folder in --output.")
        return predicting.predict(options)
    predicting.check_absent(options)
    _hush()
    model = model_folder.newest(options.model)
    manifest.verify_if_sealed(model)
    task = model_folder.task_of(model)
    # A person at a terminal wants an answer after each line.
    batch = 1 if sys.stdin.isatty() else options.batch_size or BATCHES[task]
    if task != "translation" and options.nbest is not None:
        raise ConfigError(f"--nbest: {options.model} is a {task} model; takes a translation model.")
    with _quarantine(options.quarantine) as quarantine:
        if task == "translation":
            _translate(model, batch, options.nbest, quarantine)
        else:
            _score(model, batch, quarantine)
    return 0


@contextlib.contextmanager
def _quarantine(path: Path | None) -> Iterator[LineQuarantine | None]:
    """Where bad lines go, if anywhere; says at the end how many there were."""
    if path is None:
        yield None
        return
    from babelrank.components.serving.line_quarantine import LineQuarantine

    with LineQuarantine(path, "standard input") as quarantine:
        yield quarantine
    if quarantine.count:
        sys.stderr.write(f"babelrank: {quarantine.count:,} bad lines are in {path}.\n")


def _score(model: Path, batch: int, quarantine: LineQuarantine | None) -> None:
    from babelrank.components.serving.predict import Predictor

    predictor = Predictor(model)
    # With a quarantine a line that is no text is one bad line.
    lines = sys.stdin if quarantine is None else sys.stdin.buffer
    try:
        for prediction in predictor.predict(lines, batch, quarantine):
            sys.stdout.write(json.dumps(prediction) + "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: takes UTF-8: {error}") from None


def _translate(
    model: Path, batch: int, nbest: int | None, quarantine: LineQuarantine | None
) -> None:
    from babelrank.components.serving.text_lines import decoded
    from babelrank.components.serving.translate import Translator

    lines = decoded(sys.stdin.buffer, "standard input", quarantine)
    with _silent():
        translator = Translator(model)
    answers = translator.translate(lines, batch, nbest or 1)
    for answer in _shown(answers, None):
        text = answer.best
        if nbest and answer.translations:
            text = json.dumps(vars(answer), ensure_ascii=False)
        sys.stdout.buffer.write(text.encode() + b"\n")
        if batch == 1:
            sys.stdout.buffer.flush()


def _evaluate(options: argparse.Namespace) -> int:
    from babelrank.components.serving import manifest, model_folder
    from babelrank.components.serving.text_lines import read_lines

    _hush()
    model = model_folder.newest(options.model)
    manifest.verify_if_sealed(model)
    task = model_folder.task_of(model)
    if task != "translation":
        raise ConfigError(f"{options.model} is a {task} model; evaluate takes a translation model.")
    source = read_lines(options.source)
    references = [read_lines(path) for path in options.reference]
    for path, lines in zip(options.reference, references, strict=True):
        if len(lines) != len(source):
            raise InputError(
                f"{options.source} has {len(source):,} lines and {path} has {len(lines):,}; "
                "takes aligned files, one sentence a line."
            )
    if not any(line.strip() for line in source):
        raise InputError(f"{options.source}: no line to translate.")
    from babelrank.components.serving.translate import Translator

    with _silent():
        translator = Translator(model)
    answers = translator.translate(source, options.batch_size or BATCHES[task])
    translations = [answer.best for answer in _shown(answers, len(source))]
    if options.output is not None:
        text = "".join(line + "\n" for line in translations)
        options.output.write_bytes(text.encode())
    language = translator.description.target_language
    sys.stdout.write(_scores(language, translations, references))
    return 0


def _scores(language: str, translations: list[str], references: list[list[str]]) -> str:
    """A line for each score, with its 95 % interval and sacreBLEU's signature."""
    from babelrank.components.translation import metrics

    found = metrics.evaluate(language, translations, _sets(references))
    lines = []
    for name, score in found.scores.items():
        low, high = found.intervals[name]
        lines.append(
            f"{name:<10} {score:5.2f}  ({low:.2f} to {high:.2f})  {found.signatures[name]}"
        )
    return "\n".join(lines) + "\n"


def _sets(references: list[list[str]]) -> list[list[str | None]]:
    """The references; a blank one is none where the sentence has another."""
    rows = [
        [line if line.strip() or not any(r.strip() for r in row) else None for line in row]
        for row in zip(*references, strict=True)
    ]
    return [list(lines) for lines in zip(*rows, strict=True)]


def _shown(answers: Iterable[T], total: int | None) -> Iterator[T]:
    """The answers, counted on standard error where that is a terminal of its own."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty() or (total is None and sys.stdout.isatty())
    return iter(tqdm(answers, total=total, unit=" lines", disable=quiet, file=sys.stderr))


def _hush() -> None:
    """Libraries have much to say on import that is not about the answer."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore", FutureWarning)  # of Google's libraries, about Python
    logging.disable(logging.WARNING)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps SentencePiece, which writes to the descriptor itself, from greeting on stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
