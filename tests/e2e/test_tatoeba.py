"""Parallel text to a pushed translation model: a few thousand pairs quickly, all of them slowly."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import RESUME

pytestmark = pytest.mark.e2e

FILE = "deu-eng.2018-05-13.tsv.gz"
PAIRS = 4000
QUICK = (
    "model.preset=tiny",
    "vocabulary.size=1000",
    "training.tokens_per_batch=2048",
    "training.steps=120",
    "training.evaluate_every=60",
    "splits.eval=0.05",
    "splits.test=0.05",
    "evaluation.min_bleu=0.01",
    "evaluation.min_slice_examples=20",
)
BEFORE_TRAINER = ("Ingest", "Schema", "StatisticsGen", "SubwordVocabulary", "Transform")
BAD = ["only one side\n", "\tkeine Quelle\n", "no target\t\n", "Same.\tSame.\n"]


@pytest.fixture(scope="module")
def tatoeba(data_folder: Callable[[str], Path]) -> Path:
    return data_folder("tatoeba_deu_eng") / FILE


@pytest.fixture(scope="module")
def lines(tatoeba: Path) -> list[str]:
    """Every so many lines of the file, which is sorted by length."""
    with gzip.open(tatoeba, "rt", encoding="utf-8", newline="\n") as file:
        everything = file.readlines()
    return everything[:: len(everything) // PAIRS]


@pytest.fixture(scope="module")
def line(lines: list[str], command_line: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tatoeba")
    path = folder / "pairs.tsv"
    path.write_text("".join([*lines, *BAD, lines[0]]), encoding="utf-8")
    return command_line("tatoeba.yaml", path, folder / "out", folder, QUICK, "translation")


@pytest.fixture(scope="module")
def pushed(line: Any) -> Any:
    outcome = line.run()
    assert outcome.code == 0, outcome
    return outcome


def test_run_json_accounts_for_every_pair(pushed: Any, lines: list[str]) -> None:
    run = pushed.run
    rows = run["rows"]
    repeated = len(lines) - len(set(lines))
    assert rows["read"] == len(lines) + len(BAD) + 1
    assert rows["quarantined"] + rows["dropped"] == sum(rows["by_reason"].values())
    assert rows["quarantined"] == len(BAD)
    assert rows["dropped"] == repeated + 1
    assert rows["used"] == sum(run["splits"].values())
    assert rows["used"] + rows["quarantined"] + rows["dropped"] == rows["read"]
    assert run["splits"]["test"] == pytest.approx(0.05 * len(lines), rel=0.35)
    assert run["metrics"]["examples"] == run["splits"]["test"]
    assert (run["status"], run["task"], run["baseline"]) == ("pushed", "translation", None)
    assert 0 < run["metrics"]["bleu"] < 100
    assert 0 < run["metrics"]["chrf"] < 100


def test_predict_keeps_lines_and_their_order(pushed: Any, line: Any, translate: Any) -> None:
    serving = line.out / "serving"
    text = "Tom is here.\n\nI know.\r\nI\u2028am\n" + "Go on. " * 20 + "\nTom is here."
    answers = translate("predict", serving, text=text).split("\n")
    assert len(answers) == 7  # six lines, each with its end
    assert answers[1] == answers[6] == ""
    assert answers[0] == answers[5] != ""
    one_by_one = translate("predict", serving, "--batch-size", "1", text=text).split("\n")
    assert one_by_one == answers


def test_nbest_falls_and_begins_with_the_best(pushed: Any, translate: Any) -> None:
    model = pushed.run["pushed_model"]
    best = translate("predict", model, text="Tom is here.\n").splitlines()
    (found,) = map(
        json.loads, translate("predict", model, "--nbest", "4", text="Tom is here.\n").splitlines()
    )
    assert found["source"] == "Tom is here."
    assert [found["translations"][0]] == best
    assert len(found["translations"]) == len(set(found["translations"])) == 4
    assert found["scores"] == sorted(found["scores"], reverse=True)
    assert all(score < 0 for score in found["scores"])


def test_both_doors_agree_with_predict(
    pushed: Any, translate: Any, translate_without_us: Any
) -> None:
    model = pushed.run["pushed_model"]
    sentences = ["Tom is here.", "  I   know.", "日本語 ♥", "x" * 60]
    by_example, by_line = translate_without_us(model, sentences)
    assert by_example == by_line
    answers = translate("predict", model, text="".join(s + "\n" for s in sentences)).splitlines()
    assert answers == by_line
    assert translate_without_us(model, sentences[:1])[0] == by_line[:1]  # a batch of one


def test_evaluate_repeats_sacrebleu(
    pushed: Any, lines: list[str], translate: Any, tmp_path: Path
) -> None:
    pairs = [line.rstrip("\n").split("\t") for line in lines[::40]]
    for name, side in (("source", 0), ("reference", 1)):
        content = "".join(pair[side] + "\n" for pair in pairs)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    shown = translate(
        "evaluate",
        pushed.run["pushed_model"],
        *("--source", str(tmp_path / "source.gz")),
        *("--reference", str(tmp_path / "reference.gz")),
        *("--output", str(tmp_path / "out.txt")),
    )
    import sacrebleu

    translations = (tmp_path / "out.txt").read_text(encoding="utf-8").split("\n")[:-1]
    expected = sacrebleu.corpus_bleu(translations, [[pair[1] for pair in pairs]]).score
    (bleu,) = map(float, re.findall(r"^bleu +([0-9.]+)", shown, re.MULTILINE))
    assert bleu == pytest.approx(expected, abs=0.006)


def test_the_same_command_again_trains_and_pushes_nothing(pushed: Any, line: Any) -> None:
    outcome = line.run()
    assert outcome.code == 0, outcome
    assert {outcome.states[name] for name in (*BEFORE_TRAINER, "Trainer")} == {"cached"}
    assert outcome.versions == pushed.versions
    assert outcome.run["baseline"] is None  # still the first model, and no baseline of its own
    assert outcome.run["metrics"] == pushed.run["metrics"]


def test_a_refusal_names_metric_value_and_threshold(pushed: Any, line: Any) -> None:
    outcome = line.run("evaluation.min_bleu=99")
    assert outcome.code == 3, outcome
    assert outcome.run["status"] == "refused"
    assert outcome.versions == pushed.versions
    value = outcome.run["metrics"]["bleu"]
    assert f"bleu is {value:.2f}, below evaluation.min_bleu = 99" in outcome.stdout


def test_ctrl_c_in_training_and_on_from_there(
    line: Any, command_line: Any, lines: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(lines[:2000]), encoding="utf-8")
    own = command_line("tatoeba.yaml", path, tmp_path / "out", tmp_path, QUICK, "translation")
    stopped = own.interrupted(after="eval at step")
    assert stopped.code == RESUME, stopped
    assert "The same command goes on from here." in stopped.stdout
    outcome = own.run()
    assert outcome.code == 0, outcome
    (step,) = map(int, re.findall(r"training: resumed at step (\d+)", outcome.stderr))
    assert step >= max(map(int, re.findall(r"eval at step (\d+)", stopped.stderr)))


@pytest.mark.slow
def test_bleu_on_all_pairs(tatoeba: Path, command_line: Any, tmp_path: Path) -> None:
    """A quarter of the training that tatoeba.yaml asks for."""
    short = ("training.steps=1200", "training.evaluate_every=400", "evaluation.min_bleu=1")
    outcome = command_line(
        "tatoeba.yaml", tatoeba, tmp_path / "out", tatoeba.parent, short, "translation"
    ).run()
    assert outcome.code == 0, outcome
    assert outcome.run["rows"]["read"] == 169_813
    assert outcome.run["metrics"]["bleu"] > 5
