"""The clients in `examples/`, as users start them."""

from __future__ import annotations

import json
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.asking import SECONDS
from tests.contract.model_server import ModelServer

EXAMPLES = Path(__file__).parents[2] / "examples"
FACE = "\N{GRINNING FACE}"


def rest(*arguments: str) -> list[Any]:
    """What the REST client writes; it runs without any package, as it says that it can."""
    command = [sys.executable, "-I", "-S", str(EXAMPLES / "serve_rest.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_rest_without_a_server() -> None:
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-I", "-S", str(EXAMPLES / "serve_rest.py"), url, "m", "x"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{url}/v1/models/m/metadata: no answer (")
    assert done.stderr.count("\n") == 1


def test_scores_by_rest(ranking_server: ModelServer, direct_ranking: Any) -> None:
    rows = [{"user": "a", "items": "i|j", "price": 20_000_000, "ts": 1_704_312_900}, {"user": FACE}]
    found = rest(ranking_server.url, "ranking", *map(json.dumps, rows))
    expected = direct_ranking(
        "predict_rows",
        user=["a", FACE],
        items=["i|j", ""],
        price=[2e7, float("nan")],
        ts=[1_704_312_900, -(2**63)],
    )["score"]
    assert found == pytest.approx(expected.tolist(), rel=1e-5)


def test_translations_by_rest(translation_server: ModelServer, direct_translation: Any) -> None:
    found = rest(translation_server.url, "translation", "a red house", f"the {FACE}")
    expected = direct_translation("translate", source=["a red house", f"the {FACE}"])
    assert [row["nbest"] for row in found] == [
        [text.decode() for text in row] for row in expected["nbest"]
    ]


def test_rest_tells_what_the_server_refuses(ranking_server: ModelServer) -> None:
    row = json.dumps({"user": 7})
    with pytest.raises(AssertionError, match="400: .*not of expected type: string"):
        rest(ranking_server.url, "ranking", row)


def test_both_by_grpc(
    ranking_server: ModelServer,
    translation_server: ModelServer,
    direct_ranking: Any,
    example: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str) -> list[Any]:
        # In this process: importing TensorFlow once more would take longer than all the rest.
        script = str(EXAMPLES / "serve_grpc.py")
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(script, run_name="__main__")
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    rows = [
        {"user": "a", "items": ["i", "j"], "price": 4, "timestamp": 1_704_312_900},
        {"user": None},
    ]
    found = run(ranking_server.target, "ranking", *map(json.dumps, rows))
    examples = [
        example({"user": ["a"], "items": ["i", "j"], "price": [4.0], "timestamp": [1_704_312_900]}),
        example({}),
    ]
    expected = direct_ranking("serving_default", examples=examples)["score"].tolist()
    assert [row["score"] for row in found] == pytest.approx(expected, rel=1e-5)
    sentence = json.dumps({"source": f"a red house {FACE}"})
    [answer] = run(translation_server.target, "translation", sentence)
    [other] = rest(translation_server.url, "translation", f"a red house {FACE}")
    assert answer["nbest"] == other["nbest"]
    assert answer["scores"] == pytest.approx(other["scores"], rel=1e-4)
