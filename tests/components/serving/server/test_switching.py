"""Tests of a running server from its start to its end, with versions that come under load."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from babelrank.components.serving import versions
from tests.components.serving.server.load import Load
from tests.components.serving.server.models import alter, pushed, save_scorer
from tests.components.serving.server.process import ROOT, STARTING_SECONDS, Answer, Server

Start = Callable[..., Server]
SECONDS = 60


def until(said: Callable[[], bool]) -> None:
    """Waits until something holds."""
    end = time.monotonic() + SECONDS
    while not said():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def refused(server: Server) -> Answer:
    """The answer to two lines, given again and again until it is a refusal."""
    answers: list[Answer] = []

    def said() -> bool:
        answers.append(server.predict("lines", "a", "b"))
        return answers[-1].status == 503

    until(said)
    return answers[-1]


def asking(server: Server, answers: list[int]) -> threading.Thread:
    """A client that asks once; it waits in the queue by now."""
    while True:
        thread = threading.Thread(
            target=lambda: answers.append(server.predict("lines", "a").status)
        )
        thread.start()
        while thread.is_alive():
            if server.metric("babelrank_queue_items") == 1:
                return thread


def test_no_request_fails_across_ten_switches(start: Start, scorer: Path, tmp_path: Path):
    """Each answer is that of the version that its header names, and each version answers.

    Then comes one that was altered: the tenth goes on.
    """
    folder = tmp_path / "serving"
    first = pushed(scorer, folder).name
    expected = {first: 0.125}
    models = [save_scorer(tmp_path / f"model{n}", float(n)) for n in range(1, 11)]
    server = start("--model", f"ranking={folder}", "--poll-seconds", "0.1").ready()

    with Load(server.url, "/v1/models/ranking:predict", {"instances": [{}]}, clients=4) as load:
        until(lambda: load.answered(first) >= 1)
        for bias, model in enumerate(models, 1):
            version = pushed(model, folder)
            expected[version.name] = float(bias)
            until(lambda version=version: load.answered(version.name) >= 5)
        pushed(scorer, tmp_path / "elsewhere")
        hidden = versions.versions(tmp_path / "elsewhere")[0]
        alter(hidden)
        hidden.rename(folder / str(int(version.name) + 1))
        server.said("was altered after its push")

    assert load.failures == []
    assert {found.version for found in load.answers} == set(expected)
    for found in load.answers:
        assert found.content["predictions"] == [expected[found.version]]
    assert load.answers[-1].version == version.name
    assert server.metric('babelrank_model_load_failures_total{model="ranking"}') == 1
    assert server.metric('babelrank_model_version{model="ranking"}') == float(version.name)
    assert "was altered" in server.get("/babelrank/models").json()[0]["trouble"]
    assert server.get("/v2/health/ready").status == 200


def test_without_a_good_version_it_ends_with_a_sentence(start: Start, scorer: Path):
    server = start(str(scorer))

    assert server.process.wait(STARTING_SECONDS) == 1
    assert f"babelrank: {scorer}: has no assets.extra/babelrank_push.json" in server.log


def test_from_waiting_to_the_last_answer(start: Start, reverser: Path, tmp_path: Path):
    """It waits for a version, refuses what is too much, and ends in order."""
    folder = tmp_path / "later"
    limits = ("--max-instances", "2", "--max-queue", "2", "--max-delay-ms", "1000")
    server = start("--model", f"lines={folder}", "--wait", *limits)
    server.ready()
    assert server.get("/v2/health/live").status == 200
    assert server.get("/v2/health/ready").status == 503
    assert server.get("/v2/models/lines/ready").status == 503
    early = server.predict("lines", "a")
    assert (early.status, early.headers["retry-after"]) == (503, "5")

    pushed(reverser / "3", folder)
    until(lambda: server.get("/v2/health/ready").status == 200)
    assert server.predictions("lines", "a b")[0]["translation"] == "b a"

    with Load(server.url, "/v1/models/lines:predict", {"instances": ["a"]}, clients=1):
        over = refused(server)  # while another one waits to be joined
    assert over.headers["retry-after"] == "1"

    answers: list[int] = []
    thread = asking(server, answers)
    assert server.stop(signal.SIGTERM) == 0  # while one still waits to be joined
    thread.join(SECONDS)
    assert set(answers) == {200}
    assert "stopped" in server.log


BROKEN = """
import sys
from pathlib import Path
from babelrank.components.serving.server import process, settings, watcher

async def look(self):
    raise OSError("the disk is on fire")

watcher.Watcher.look = look
process.serve(settings.Settings(models={"a": Path(sys.argv[1])}, port=0))
"""


def test_a_fault_at_the_first_look_ends_the_server(kserve: Path, tmp_path: Path):
    ended = subprocess.run(
        [kserve, "-c", BROKEN, tmp_path], capture_output=True, text=True, timeout=300, cwd=ROOT
    )

    assert ended.returncode == 1
    assert "OSError: the disk is on fire" in ended.stderr
    assert "INFO stopped" in ended.stderr
