"""Runs the command line as a user would, on the real data beside the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CONFIGS = Path(__file__).parent
REPOSITORY = CONFIGS.parents[1]
DATA = REPOSITORY.parent / "shared" / "data"
BABELRANK = [sys.executable, "-m", "babelrank.pipelines.cli"]
TIMEOUT = 900

# What another program that only has TensorFlow would do with the pushed model.
SCORE_EXAMPLES = """
import json, sys
import tensorflow as tf

def feature(values):
    if isinstance(values[0], str):
        return tf.train.Feature(bytes_list={"value": [value.encode() for value in values]})
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list={"value": values})
    return tf.train.Feature(float_list={"value": values})

examples = []
for line in sys.stdin:
    features = {name: feature(values) for name, values in json.loads(line).items()}
    examples.append(tf.train.Example(features={"feature": features}).SerializeToString())
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
print(json.dumps(signature(tf.constant(examples))["score"].numpy().tolist()))
"""

# The same of a translation model: TensorFlow, tensorflow-text, and both doors.
TRANSLATE = """
import json, sys
import tensorflow as tf
import tensorflow_text

def example(line):
    source = tf.train.Feature(bytes_list={"value": [line.encode()]})
    return tf.train.Example(features={"feature": {"source": source}}).SerializeToString()

lines = [line.rstrip("\\n") for line in sys.stdin]
examples = [example(line) for line in lines]
model = tf.saved_model.load(sys.argv[1])
answers = [
    model.signatures["serving_default"](tf.constant(examples)),
    model.signatures["translate"](tf.constant(lines)),
]
texts = [[text.decode() for text in a["translation"].numpy().tolist()] for a in answers]
print(json.dumps(texts))
"""


@dataclass(frozen=True)
class Outcome:
    """What one call of the command line came to.

    Attributes:
        code: Exit code.
        stdout: Standard output.
        stderr: Standard error.
        run: run.json, as it stood after this call; empty when there was none.
        versions: The pushed versions after this call.
    """

    code: int
    stdout: str
    stderr: str
    run: dict[str, Any]
    versions: list[str]

    @property
    def states(self) -> dict[str, str]:
        """State of each step: ran, cached, failed, not reached."""
        return {step["name"]: step["state"] for step in self.run["steps"]}

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.stdout}\n{self.stderr}"


class CommandLine:
    """`babelrank run` with one configuration, data set and output folder.

    Args:
        config: Name of a YAML file in this folder.
        data: In place of data.path.
        out: Output folder.
        folder: Folder to run in; joined files are named relative to it.
        settings: `--set` of every run.
        pipeline: Which pipeline.
    """

    def __init__(
        self,
        config: str,
        data: str | Path,
        out: Path,
        folder: Path,
        settings: Sequence[str] = (),
        pipeline: str = "ranking",
    ) -> None:
        self.out, self._folder = out, folder
        self._command = [*BABELRANK, "run", pipeline, "--config", str(CONFIGS / config)]
        self._command += ["--data", str(data), "--out", str(out), *_sets(settings)]

    def run(self, *settings: str) -> Outcome:
        """One run, to its end."""
        done = subprocess.run(
            [*self._command, *_sets(settings)],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        return self._outcome(done.returncode, done.stdout, done.stderr)

    def interrupted(self, *settings: str, after: str) -> Outcome:
        """One run that gets Ctrl-C when a line of its output begins with `after`."""
        process = subprocess.Popen(
            [*self._command, *_sets(settings)],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith(after):
                process.send_signal(signal.SIGINT)
                break
        stdout, rest = process.communicate(timeout=TIMEOUT)
        return self._outcome(process.returncode, stdout, "".join(lines) + rest)

    def _outcome(self, code: int, stdout: str, stderr: str) -> Outcome:
        path = self.out / "run.json"
        run = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        versions = sorted(folder.name for folder in (self.out / "serving").glob("*"))
        return Outcome(code, stdout, stderr, run, versions)


def _sets(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """Folder of a real data set; skips the test when it is not there."""

    def find(name: str) -> Path:
        folder = DATA / name
        if not folder.is_dir():
            pytest.skip(f"needs the data set {name} in {DATA}, which is not part of the repository")
        return folder

    return find


@pytest.fixture(scope="session")
def command_line() -> type[CommandLine]:
    """The class, for tests that cannot import this file."""
    return CommandLine


@pytest.fixture(scope="session")
def predict() -> Callable[[str | Path, Sequence[dict[str, Any]]], list[float]]:
    """Scores of raw rows by `babelrank predict`, a new process."""

    def score(model: str | Path, rows: Sequence[dict[str, Any]]) -> list[float]:
        lines = _ask([*BABELRANK, "predict", str(model)], rows).splitlines()
        return [json.loads(line)["score"] for line in lines]

    return score


@pytest.fixture(scope="session")
def score_examples() -> Callable[[str | Path, Sequence[dict[str, Any]]], list[float]]:
    """Scores of `tf.Example`s by the SavedModel alone, in a new process without BabelRank."""

    def score(model: str | Path, examples: Sequence[dict[str, Any]]) -> list[float]:
        answer = _ask([sys.executable, "-c", SCORE_EXAMPLES, str(model)], examples)
        scores: list[float] = json.loads(answer)
        return scores

    return score


@pytest.fixture(scope="session")
def translate() -> Callable[..., str]:
    """What `babelrank predict` or `evaluate` prints, a new process."""

    def ask(command: str, model: str | Path, *arguments: str, text: str = "") -> str:
        return _output([*BABELRANK, command, str(model), *arguments], text)

    return ask


@pytest.fixture(scope="session")
def translate_without_us() -> Callable[[str | Path, Sequence[str]], list[list[str]]]:
    """Translations by both doors of the SavedModel alone, in a new process without BabelRank."""

    def ask(model: str | Path, lines: Sequence[str]) -> list[list[str]]:
        text = "".join(line + "\n" for line in lines)
        answers: list[list[str]] = json.loads(
            _output([sys.executable, "-c", TRANSLATE, str(model)], text)
        )
        return answers

    return ask


def _ask(command: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    return _output(command, "".join(json.dumps(row) + "\n" for row in rows))


def _output(command: Sequence[str], text: str) -> str:
    done = subprocess.run(
        command,
        input=text,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
