"""Tests of how a serving check watches its process, and of the command that repeats it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from babelrank.components.serving.check import supervisor as checking
from babelrank.components.serving.check.job import Job
from babelrank.components.serving.check.supervisor import check, command
from babelrank.components.serving.config import ServingConfig
from babelrank.pipelines import cli
from tests.components.serving.check import models as check_models
from tests.components.serving.check.models import Model, sound

SAYS = """
import sys
from pathlib import Path
from babelrank.components.serving.check.job import Stage
Stage(doing="asking serving_default: emoji", request='{"word": "x"}').save(Path(sys.argv[1]))
"""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts another process in place of the one that loads the model."""

    def use(body: str) -> None:
        (tmp_path / "impostor.py").write_text(SAYS + textwrap.dedent(body))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(checking, "_PROCESS", "impostor")

    return use


def refused(tmp_path: Path, **settings: int) -> str:
    """Why a model is refused; the request of the finding is what was asked last."""
    report = check(Job(model=tmp_path / "model", config=ServingConfig(**settings)))
    (finding,) = report.findings
    assert (report.ok, finding.ok, finding.request) == (False, False, '{"word": "x"}')
    assert report.command.startswith(f"babelrank check {tmp_path / 'model'}")
    return finding.text


def test_a_process_that_takes_too_much_memory(process: Callable[[str], None], tmp_path: Path):
    process("held = bytearray(300 << 20)\nimport time\ntime.sleep(60)")
    begun = time.monotonic()
    text = refused(tmp_path, memory_limit_mib=200)
    assert text.startswith("The process of the check took ")
    assert "was stopped: serving.memory_limit_mib = 200. It was asking" in text
    assert time.monotonic() - begun < 30


def test_a_process_that_hangs_and_what_it_has_started(
    process: Callable[[str], None], tmp_path: Path
):
    mark = f"babelrank-test-{tmp_path.name}"
    process(f"""
        import subprocess, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", {mark!r}])
        time.sleep(60)
    """)
    assert refused(tmp_path, timeout_seconds=3) == (
        "The process of the check was not done after 3 seconds and was stopped: "
        "serving.timeout_seconds = 3. It was asking serving_default: emoji."
    )
    commands = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    assert not any(mark.encode() in one for one in commands)


def test_a_process_that_crashes(process: Callable[[str], None], tmp_path: Path):
    process("import os\nprint('terminate called', flush=True)\nos.abort()")
    assert refused(tmp_path) == (
        "The process of the check was ended by SIGABRT. It was asking serving_default: emoji. Its "
        "last words: terminate called"
    )


def test_a_process_that_somebody_kills(process: Callable[[str], None], tmp_path: Path):
    process("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "was ended by SIGKILL, as when the machine has no memory left." in refused(tmp_path)


def test_a_process_that_fails(process: Callable[[str], None], tmp_path: Path):
    process("raise SystemExit('oh no')")
    assert refused(tmp_path).endswith(
        "ended with exit code 1. It was asking serving_default: emoji. Its last words: oh no"
    )


def test_a_model_that_takes_too_much_memory(tmp_path: Path):
    bomb = Model(
        sound,
        more=lambda word: {
            "sum": tf.fill(
                tf.shape(word), tf.reduce_sum(tf.random.uniform([tf.size(word) * (300 << 20)]))
            )
        },
    )
    model = check_models.save(bomb, tmp_path / "model", described=False)
    row = tf.train.Example()
    row.features.feature["word"].bytes_list.value.append(b"yes")
    with tf.io.TFRecordWriter(str(tmp_path / "one.tfrecord")) as writer:
        writer.write(row.SerializeToString())
    config = ServingConfig(requests=1, memory_limit_mib=1500)
    report = check(Job(model=model, config=config, requests=tmp_path / "one.tfrecord"))
    (finding,) = report.findings
    assert "serving.memory_limit_mib = 1,500. It was asking serving_default: a batch of one" in (
        finding.text
    )
    assert finding.request == '{"word": "yes"}'
    assert report.memory_mib > 1500


def test_the_command_by_hand(
    process: Callable[[str], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    check_models.save(Model(sound), tmp_path / "models" / "7")
    requests = tmp_path / "rows.jsonl"
    requests.write_text('{"price": 3, "word": "yes"}\n')
    arguments = ["check", str(tmp_path / "models"), "--requests", str(requests)]
    warmup = ["--warmup", str(tmp_path / "warmup")]
    assert cli.main([*arguments, *warmup, "--set", "serving.requests=3"]) == 0
    said = capfd.readouterr().out
    assert said.startswith("SERVABLE\n  ok  TensorFlow Serving 2.19.1 has all ")
    assert "predict_rows, 3 examples: p50 " in said
    assert (tmp_path / "warmup").stat().st_size > 0
    process("raise SystemExit('oh no')")
    assert cli.main(arguments) == 3
    said = capfd.readouterr().out
    assert said.startswith("NOT SERVABLE\n  NO  The process of the check ended with exit code 1.")
    assert said.endswith('      request: {"word": "x"}\n')


def test_what_the_command_does_not_take(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    def refusal(*arguments: str) -> tuple[int, str]:
        code = cli.main(["check", *arguments])
        return code, capfd.readouterr().err

    code, said = refusal(str(tmp_path))
    assert code == 1
    assert said.startswith(f"babelrank: {tmp_path}: no model here. Give the folder of a pushed ")
    missing = str(tmp_path / "none.jsonl")
    assert refusal(str(tmp_path), "--requests", missing) == (
        1,
        f"babelrank: {missing}: there is no such file.\n",
    )
    (tmp_path / "saved_model.pb").touch()
    code, said = refusal(str(tmp_path), "--set", "tf_serving=2.13.0")
    assert code == 2
    assert "tf_serving: got 2.13.0; takes a version from 2.14 to 2.21" in said


def test_the_command_that_repeats_a_check(tmp_path: Path):
    job = Job(
        model=Path("/models/a b/7"),
        config=ServingConfig(max_p50_ms=5.0, tf_serving=None),
        requests=Path("/r"),
        reference=Path("/t"),
        warmup=Path("/w"),
    )
    assert command(job) == (
        "babelrank check '/models/a b/7' --requests /r --reference /t --set max_p50_ms=5.0 --set "
        "tf_serving=null"
    )
    job.save(tmp_path)
    assert Job.load(tmp_path) == job


def test_the_process_imports_neither_tfx_nor_beam():
    script = (
        "import sys, babelrank.components.serving.check.process, tensorflow, "
        "babelrank.components.serving.check.questions, babelrank.components.serving.warmup;"
        "print([n for n in ('tfx', 'apache_beam', 'tensorflow_transform') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
