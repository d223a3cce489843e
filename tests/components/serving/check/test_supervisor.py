"""Tests of how a serving check watches its process, and of the command that repeats it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tensorflow as tf

from babelrank.components.errors import InputError
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


def is_gone(process: int) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_process_that_takes_too_much_memory(process: Callable[[str], None], tmp_path: Path):
    process("held = bytearray(300 << 20)\nimport time\ntime.sleep(60)")
    text = refused(tmp_path, memory_limit_mib=200)
    assert text.startswith("The process of the check took ")
    assert "was stopped: serving.memory_limit_mib = 200. It was asking" in text


def test_a_process_that_hangs_and_what_it_has_started(
    process: Callable[[str], None], tmp_path: Path
):
    noted = tmp_path / "pid"
    process(f"""
        import subprocess, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path({str(noted)!r}).write_text(str(child.pid))
        time.sleep(600)
    """)
    assert refused(tmp_path, timeout_seconds=8) == (
        "The process of the check was not done after 8 seconds and was stopped: "
        "serving.timeout_seconds = 8. It was asking serving_default: emoji."
    )
    until = time.monotonic() + 60
    while not (gone := is_gone(int(noted.read_text()))) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone


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


REPORT = """
from babelrank.components.serving.check.report import CheckReport
result = Path(sys.argv[1]) / "result"
result.mkdir()
"""


def test_a_report_that_is_half_written_when_the_process_is_stopped(
    process: Callable[[str], None], tmp_path: Path
):
    process(f"{REPORT}\n(result / 'check.json').write_text('{{')\nimport time\ntime.sleep(60)")
    assert "was not done after 3 seconds" in refused(tmp_path, timeout_seconds=3)


@pytest.mark.parametrize("memory", [199, 201])
def test_memory_that_only_the_process_has_seen(
    process: Callable[[str], None], tmp_path: Path, memory: int
):
    process(
        f"{REPORT}\nCheckReport(ok=True, findings=(), command='', memory_mib={memory}).save(result)"
    )
    config = ServingConfig(memory_limit_mib=200)
    report = check(Job(model=tmp_path / "model", config=config))
    assert report.ok == (memory == 199)
    texts = [finding.text for finding in report.findings]
    refusal = "The process of the check took 201 MiB of memory: serving.memory_limit_mib = 200."
    assert texts == ([] if report.ok else [refusal])


def test_a_system_that_tells_no_memory(
    process: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    process(f"{REPORT}\nCheckReport(ok=True, findings=(), command='').save(result)")
    monkeypatch.setattr(checking, "peak_mib", lambda process: 0.0)
    report = check(Job(model=tmp_path / "model", config=ServingConfig()))
    (finding,) = report.findings
    assert report.ok
    assert finding.text.startswith("This system does not tell the memory of a process")


def test_requests_that_the_process_cannot_read(process: Callable[[str], None], tmp_path: Path):
    process("(Path(sys.argv[1]) / 'error.txt').write_text('rows.jsonl, line 3: no')")
    with pytest.raises(InputError, match="rows.jsonl, line 3: no"):
        check(Job(model=tmp_path / "model", config=ServingConfig()))


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path):
    child = (
        "import os, threading, time; from babelrank.components.serving.check import process;"
        "threading.Thread(target=process._end_with, args=(os.getppid(),), daemon=True).start();"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys, time;"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True);"
        f"path = {str(tmp_path / 'pid')!r}\n"
        "while not (os.path.exists(path) and os.path.getsize(path)): time.sleep(0.05)\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", parent], check=True, timeout=60)
    status = Path("/proc", (tmp_path / "pid").read_text(), "status")
    deadline = time.monotonic() + 30
    while running(status) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(status)


def test_sigterm_ends_the_process_of_the_check_too(process: Callable[[str], None], tmp_path: Path):
    note = tmp_path / "note"
    process(f"""
        import os, time
        Path({str(note)!r}).write_text(f"{{os.getpid()}} {{sys.argv[1]}}")
        time.sleep(60)
    """)
    (tmp_path / "saved_model.pb").touch()

    def terminate() -> None:
        while not (note.exists() and note.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    try:
        threading.Thread(target=terminate, daemon=True).start()
        assert cli.main(["check", str(tmp_path)]) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    child, folder = note.read_text().split()
    assert not running(Path("/proc", child, "status"))
    assert not Path(folder).exists()


def running(status: Path) -> bool:
    """Whether a process is there; one that nobody has waited for is not."""
    try:
        return "State:\tZ" not in status.read_text()
    except OSError:
        return False


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
    nowhere = str(tmp_path / "none" / "warmup")
    assert refusal(str(tmp_path), "--warmup", nowhere) == (
        1,
        f"babelrank: {nowhere}: there is no such folder; make it first.\n",
    )
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
