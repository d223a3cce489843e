"""Tests of the run report: the words of the verdict, run.json's keys, and a page that is safe."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from babelrank.components import durable
from babelrank.components.evaluation import slice_table
from babelrank.components.evaluation.drift import DriftReport, FeatureDrift
from babelrank.components.evaluation.page import html
from babelrank.components.evaluation.report import (
    Charts,
    Finding,
    RowsSummary,
    RunSummary,
    SampleTranslation,
    SliceRow,
    StepSummary,
    verdict_lines,
    write_html,
    write_run_json,
)
from tests.report import runs

PUSHED = RunSummary(
    run_id="r1",
    pipeline="clicks",
    task="ranking",
    status="pushed",
    blessed=True,
    pushed_model="/models/7",
    started="2026-03-04T10:15:01.5+00:00",
    seconds={"Ingest": 4.0, "Trainer": 131.0},
    steps=(
        StepSummary(name="Ingest", state="cached", seconds=4.0),
        StepSummary(name="Trainer", state="ran", seconds=131.0),
    ),
    metrics={"log_loss": 0.41, "auc": 0.771},
    baseline={"log_loss": 0.40, "auc": 0.768},
    split="test",
    split_note="The gate used test.",
    verdict=(Finding(ok=True, text="auc 0.771 is at least 0.740."),),
    rows=RowsSummary(
        read=1_000_000,
        used=997_000,
        dropped={"label missing": 1000},
        quarantined={"bad label": 2000},
        examples=(("bad label", "a.csv", 1234, "u1,\x00<script>alert(1)</script>\u202e,\udcff"),),
    ),
    splits={"train": 900_000, "test": 97_000},
    spans=(1, 2),
    versions={"tfx": "1.16.0"},
    optimum={"auc": 0.785},
    config_yaml="path: <clicks> & more",
)
CHARTS = Charts(
    roc=[(0, 0), (0.2, 0.7), (1, 1)],
    roc_baseline=[(0, 0), (0.2, 0.6), (1, 1)],
    calibration=[(0.1, 0.12, 50), (0.3, 0.29, 10)],
    loss=[(0, 0.7), (100, 0.5)],
    evaluation={"auc": [(50, 0.6), (100, 0.77)], "my $x_metric": [(50, 1.0)]},
    slices=(
        SliceRow(slice="hour=<3>", examples=1200, metrics={"auc": 0.8}, baseline={"auc": 0.65}),
        SliceRow(slice="hour=4", examples=10, metrics={"auc": math.nan}),
    ),
)
REFUSED = dataclasses.replace(
    PUSHED,
    status="refused",
    blessed=False,
    pushed_model=None,
    verdict=(
        Finding(ok=True, text="fine."),
        Finding(ok=False, text="calibration 1.3 on slice hour=3 is above 1.1."),
    ),
)
FAILED = dataclasses.replace(runs.FAILED, started="yesterday", lineage=())
RATING = dataclasses.replace(PUSHED, metrics={"rmse": 0.88}, baseline=None, optimum=None)


TRANSLATED = dataclasses.replace(
    runs.TRANSLATION,
    languages=("pt_BR", "he"),
    intervals={"bleu": (30.01, 32.55)},
    check=None,
    lineage=(),
    verdict=(),
    splits={},
    steps=(),
)
SIGNATURE = TRANSLATED.signatures["bleu"]
LENGTHS = runs.TRANSLATION_CHARTS.lengths
HEBREW = "\u05d0\u05e0\u05d9"
TRANSLATIONS = Charts(
    slices=LENGTHS,
    lengths=LENGTHS,
    evaluation={"bleu": [(100, 3.0), (200, 30.4)]},
    samples=(
        SampleTranslation(
            kind="worst",
            chrf=0,
            source="Eu <b>",
            reference=f"{HEBREW}\u200f!",
            translation="",
            baseline="",
        ),
        SampleTranslation(
            kind="best",
            chrf=100,
            source="1 \u202eX",
            reference="\u0645\u06cc\u200c\u062e",
            translation="x",
            baseline="y",
        ),
    ),
)


class _Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " " if tag in ("td", "th", "span", "pre", "div") else ""
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(folder: Path, summary: RunSummary, charts: Charts | None = None) -> tuple[str, _Reader]:
    path = folder / "new" / "report.html"
    write_html(summary, charts or Charts(), path)
    html = path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    reader = _Reader()
    reader.feed(html)
    assert not reader.open
    reader.text = re.sub(r"\s+", " ", reader.text)
    return html, reader


@pytest.mark.parametrize("summary", [PUSHED, REFUSED, FAILED, RATING, TRANSLATED])
@pytest.mark.parametrize("charts", [CHARTS, Charts(), TRANSLATIONS])
def test_page_is_self_contained_and_accessible(
    tmp_path: Path, summary: RunSummary, charts: Charts
) -> None:
    html, page = _page(tmp_path, summary, charts)
    assert not re.search(r"https?://|@import", html)
    assert html.count("<script") == 1  # the one whose hash the page names
    for tag, attributes in page.tags:
        assert not attributes.get("src")
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in page.tags].count("h1") == 1


def test_pushed_page_says_what_matters(tmp_path: Path) -> None:
    _, page = _page(tmp_path, PUSHED, CHARTS)
    for text in (
        "Pushed · clicks",
        "The model passed the gate and stands in /models/7",
        "Metrics on test",
        "baseline 0.768 +0.003 better",
        "+0.010 worse",
        "AUC 0.771 of 0.785 reachable (95 % of the way from 0.5)",
        "✓ passed auc 0.771 is at least 0.740.",
        "quarantined: bad label 2,000 0.20 %",
        "bad label · a.csv, row 1,234",
        "hour=<3> 1,200 0.800 +0.150 better",
        "hour=4 10 n/a",
        "ROC curve",
        "Predicted and actual",
        "best 0.770 at 100",
        "Ingest cached 4.0 s",
        "Trainer ran 2 min 11 s",
        "path: <clicks> & more",
        "2026-03-04 10:15 UTC",
    ):
        assert text in page.text


def test_translation_page_says_what_matters(tmp_path: Path) -> None:
    _, page = _page(tmp_path, TRANSLATED, TRANSLATIONS)
    for text in (
        "translation, pt_BR to he",
        "BLEU 31.3 95 %: 30.0 to 32.5 baseline 30.1 +1.1 better significant (p = 0.012)",
        "chrF 54.6 baseline 54.6 +0.03 not significant (p = 0.410)",
        f"BLEU {SIGNATURE}",
        "Vocabulary source target Subwords 8,000 7,000 Subwords per word 1.310 – "
        "Share of unknown subwords – 0.20 % Not covered, target: \u2603 (12).",
        "1-5 700 38.2 +0.7 better",
        "BLEU by length",
        "best 30.4 at 200",
        "Worst chrF 0.0 Source Eu <b> Reference",
        "This model (empty) Baseline the same",
        "Best chrF 100.0 Source 1 \\u202eX",
        "Baseline [not in the reference: y",
    ):
        assert text in page.text
    assert "At random" not in page.text


def test_sentences_carry_their_language_and_direction(tmp_path: Path) -> None:
    html, page = _page(tmp_path, TRANSLATED, TRANSLATIONS)
    sides = [attributes for tag, attributes in page.tags if tag == "dd" and "dir" in attributes]
    assert [side["dir"] for side in sides] == ["auto"] * 7
    assert [side["lang"] for side in sides] == ["pt-BR", "he", "he", "pt-BR", "he", "he", "he"]
    assert f"{HEBREW}\u200f!" in html  # marks that scripts need stay; overrides do not
    assert "\u0645\u06cc\u200c\u062e" in html
    assert "\u202e" not in html
    assert "Eu &lt;b&gt;" in html


def test_raw_rows_are_escaped_and_made_visible(tmp_path: Path) -> None:
    html, page = _page(tmp_path, PUSHED)
    assert "u1,\\x00&lt;script&gt;alert(1)&lt;/script&gt;\\u202e,\\udcff" in html
    assert "\x00" not in html
    assert "\u202e" not in html
    assert [tag for tag, _ in page.tags].count("script") == 1


def test_refused_page_names_the_reason_first(tmp_path: Path) -> None:
    _, page = _page(tmp_path, REFUSED)
    assert "Refused The gate refused the model; nothing was pushed. 1 of 2 checks" in page.text
    assert "✗ refused calibration 1.3 on slice hour=3 is above 1.1. ✓ passed fine." in page.text


BLESSED = dataclasses.replace(
    PUSHED, status="blessed", pushed_model=None, not_pushed="push.enabled is <false>."
)
BACK = dataclasses.replace(
    BLESSED, status="refused", not_pushed="version 7 with this very model was rolled back."
)


def test_a_page_says_why_a_good_model_was_not_pushed(tmp_path: Path) -> None:
    _, page = _page(tmp_path, BLESSED)
    words = "Blessed, not pushed The model passed the gate; nothing was pushed: push.enabled is"
    assert f"{words} <false>." in page.text
    _, page = _page(tmp_path, BACK)
    assert "Refused The model passed the gate; nothing was pushed: version 7 with" in page.text


def test_verdict_lines_say_why_a_good_model_was_not_pushed() -> None:
    lines = verdict_lines(BLESSED)
    assert lines[0].startswith("BLESSED, not pushed  auc")
    assert "  passed the gate; not pushed: push.enabled is <false>." in lines
    assert verdict_lines(BACK)[0].startswith("REFUSED  auc")
    assert not any("not pushed" in line for line in verdict_lines(PUSHED))


def test_failed_page_shows_error_and_bad_rows(tmp_path: Path) -> None:
    _, page = _page(tmp_path, FAILED)
    for text in (
        "Failed at Ingest",
        "The gate was not reached. Nothing was pushed.",
        "BadRows: 6 % a.csv:3 <x>",
        "so there are no metrics",
        "✗ failed 2.0 s",
        "not reached –",
        "so no row was used",
    ):
        assert text in page.text
    assert "Plots" not in page.text


def test_rating_page_has_calibration_but_no_roc(tmp_path: Path) -> None:
    charts = Charts(calibration=[(2.0, 2.1, 5), (4.0, 3.9, 9)])
    _, page = _page(tmp_path, RATING, charts)
    assert "RMSE 0.880" in page.text
    assert "There was no blessed model to compare with." in page.text
    assert "Predicted and actual" in page.text
    assert "ROC" not in page.text


def test_rows_that_do_not_add_up_are_pointed_out(tmp_path: Path) -> None:
    summary = dataclasses.replace(PUSHED, rows=RowsSummary(read=10, used=8))
    _, page = _page(tmp_path, summary)
    assert "The counts do not add up: 10 rows read, 8 accounted for." in page.text


def test_many_slices_are_one_table(tmp_path: Path) -> None:
    slices = tuple(SliceRow(slice=f"user={i}", examples=1, metrics={"auc": 0.6}) for i in range(50))
    _, page = _page(tmp_path, PUSHED, Charts(slices=slices))
    assert "user=49" in page.text
    (table,) = [one for tag, one in page.tags if tag == "table" and "sortable" in str(one)]
    assert table["data-show"] == "30"


def test_of_very_many_slices_the_largest_are_shown_in_their_order(tmp_path: Path) -> None:
    slices = tuple(
        SliceRow(slice=f"user={i}", examples=9 if i == 7 else 1 + i // 100, metrics={"auc": 0.6})
        for i in range(1200)
    )
    _, page = _page(tmp_path, PUSHED, Charts(slices=slices))
    assert "The 1,000 largest of 1,200 slices; verdict.json has all." in page.text
    _, rows = slice_table.slice_table(slices)
    # 900 have more than 3 examples; of those with 3 the first 99 are there.
    numbers = [7, *range(200, 299), *range(300, 1200)]
    assert [row["name"] for row in rows] == [f"user={i}" for i in numbers]
    _, page = _page(tmp_path, PUSHED, Charts(slices=slices[:1000]))
    assert "verdict.json" not in page.text


def test_long_names_of_slices_are_cut_once_they_are_visible(tmp_path: Path) -> None:
    names = ("x" * 200, "x" * 201, "\x00" * 300)
    slices = tuple(SliceRow(slice=name, examples=1, metrics={"auc": 0.6}) for name in names)
    _, rows = slice_table.slice_table(slices)
    assert [row["name"] for row in rows] == ["x" * 200, "x" * 199 + "…", ("\\x00" * 50)[:199] + "…"]


def test_page_is_deterministic(tmp_path: Path) -> None:
    assert _page(tmp_path / "a", PUSHED, CHARTS)[0] == _page(tmp_path / "b", PUSHED, CHARTS)[0]


def _run_json(folder: Path, summary: RunSummary) -> dict[str, Any]:
    write_run_json(summary, folder / "run.json")
    assert [p.name for p in folder.iterdir()] == ["run.json"]
    content: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("summary", [PUSHED, REFUSED, FAILED, TRANSLATED])
def test_run_json_has_exactly_these_keys(tmp_path: Path, summary: RunSummary) -> None:
    assert set(_run_json(tmp_path, summary)) == {
        *("status", "blessed", "pushed_model", "metrics", "baseline", "rows", "seconds", "spans"),
        *("versions", "run_id", "pipeline", "task", "started", "split", "splits", "verdict"),
        *(
            "steps",
            "optimum",
            "intervals",
            "p_values",
            "significance",
            "signatures",
            "languages",
            "vocabulary",
        ),
        *("warm_start", "privacy", "skipped", "drift", "not_pushed", "forced", "anomalies"),
        *("check", "lineage", "raw_rows"),
    }


def test_run_json_values(tmp_path: Path) -> None:
    content = _run_json(tmp_path, PUSHED)
    assert content["rows"] == {
        "read": 1_000_000,
        "used": 997_000,
        "quarantined": 2000,
        "dropped": 1000,
        "by_reason": {"bad label": 2000, "label missing": 1000},
    }
    said = {"ok": True, "text": "auc 0.771 is at least 0.740.", "kind": "model", "note": False}
    assert content["verdict"] == [said]
    assert content["spans"] == [1, 2]
    assert content["steps"][0] == {
        "name": "Ingest",
        "state": "cached",
        "seconds": 4.0,
        "error": None,
        "memory_mib": None,
    }


def test_run_json_of_a_failed_run(tmp_path: Path) -> None:
    content = _run_json(tmp_path, FAILED)
    assert content["status"] == "failed"
    assert content["blessed"] is None
    assert content["pushed_model"] is None
    assert content["metrics"] == {}
    assert content["baseline"] is None


def test_run_json_makes_null_of_what_is_not_finite(tmp_path: Path) -> None:
    metrics = {"auc": math.nan, "rmse": math.inf, "log_loss": np.float32(0.5), "n": np.int64(3)}
    summary = dataclasses.replace(PUSHED, metrics=MappingProxyType(metrics))
    found = _run_json(tmp_path, summary)["metrics"]
    assert found == {"auc": None, "rmse": None, "log_loss": 0.5, "n": 3}


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run_json(tmp_path, PUSHED)

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_run_json(FAILED, tmp_path / "run.json")
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "pushed"


def test_verdict_lines_of_a_pushed_run() -> None:
    assert verdict_lines(PUSHED) == [
        "PUSHED  auc 0.771 (baseline 0.768, +0.003), log_loss 0.410 (baseline 0.400, +0.010)",
        "  ok  auc 0.771 is at least 0.740.",
        "  measured on test. The gate used test.",
        "  AUC 0.771 of 0.785 reachable (95 % of the way from 0.5)",
        "  1,000,000 rows read, 997,000 used, 1,000 dropped (label missing 1,000), "
        "2,000 quarantined (bad label 2,000)",
        "  model: /models/7",
    ]


def test_verdict_lines_of_a_translation_run() -> None:
    assert verdict_lines(TRANSLATED)[0] == (
        "PUSHED  bleu 31.3 (baseline 30.1, +1.1, p = 0.012), chrf 54.6 (baseline 54.6, +0.03, "
        "p = 0.410), examples 2,003 (baseline 2,003, no change)"
    )


def test_run_json_of_a_translation_run(tmp_path: Path) -> None:
    content = _run_json(tmp_path, TRANSLATED)
    assert content["metrics"] == {"bleu": 31.27, "chrf": 54.61, "examples": 2003.0}
    assert content["intervals"] == {"bleu": [30.01, 32.55]}
    assert content["signatures"] == {"bleu": SIGNATURE}
    assert content["languages"] == ["pt_BR", "he"]


def test_verdict_lines_of_refused_and_failed_runs() -> None:
    assert "  NO  calibration 1.3 on slice hour=3 is above 1.1." in verdict_lines(REFUSED)
    assert verdict_lines(FAILED)[:2] == ["FAILED at Ingest", "  Ingest: BadRows: 6 %"]


def test_verdict_lines_carry_no_terminal_escapes() -> None:
    finding = Finding(ok=False, text="slice hour=\x1b[2J is low")
    lines = verdict_lines(dataclasses.replace(REFUSED, verdict=(finding,)))
    assert "  NO  slice hour=\\x1b[2J is low" in lines


def test_the_configured_level_counts() -> None:
    run = dataclasses.replace(TRANSLATED, significance=0.01)
    assert "not significant (p = 0.012)" in html(run, Charts())


@pytest.mark.parametrize(
    ("forced", "served", "said"),
    [
        ("", True, "The model passed the gate and the serving check and stands"),
        ("", False, "The model passed the gate and stands"),
        ("x.", True, "was forced through the gate and passed the serving check and stands"),
        ("x.", False, "The model was forced through the gate and stands"),
    ],
)
def test_what_a_forced_model_passed(forced: str, served: bool, said: str) -> None:
    run = runs.RANKING if served else dataclasses.replace(runs.RANKING, check=None)
    assert said in html(dataclasses.replace(run, forced=forced), Charts())


@pytest.mark.parametrize(("chrf", "worded"), [(0.41, 1), (0.04, 2)])
def test_what_chance_may_have_made_is_not_called_better(chrf: float, worded: int) -> None:
    summary = dataclasses.replace(TRANSLATED, p_values={"bleu": 0.0123, "chrf": chrf})
    cards = re.findall(r'<span class="change [^>]*>[^<]* better<', html(summary, Charts()))
    assert len(cards) == worded


def test_slice_table_bars_start_at_guessing_and_reach_the_best() -> None:
    names, rows = slice_table.slice_table(CHARTS.slices)
    assert names == ["auc"]
    assert [(row["bar"], row["tick"]) for row in rows] == [(100.0, 50.0), (None, None)]


def test_private_training_is_told_in_the_report_and_briefly_in_the_terminal(tmp_path: Path) -> None:
    spent = {"epsilon": 3.456, "delta": 1e-6, "steps": 70, "batch_size": 64, "examples": 9000}
    private = dataclasses.replace(
        PUSHED, privacy={**spent, "covers": "It covers this."}, skipped=("epoch 0, batch 7",)
    )
    words = "Private training: epsilon 3.46 at delta 1e-06, after 70 steps of 64 expected examples"
    (line,) = (line for line in verdict_lines(private) if "epsilon" in line)
    assert line == f"  {words} out of 9000. The report says what it covers."
    assert _run_json(tmp_path, private)["privacy"]["epsilon"] == 3.456
    write_html(private, Charts(), tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{words} out of 9000. It covers this." in html
    assert "The loss diverged 1 times; training went on without epoch 0, batch 7." in html


MOVED = DriftReport(
    action="report",
    split="test",
    notes=("Skew was measured but not judged.",),
    features=(
        FeatureDrift(
            feature="os<1>",
            kind="categorical",
            drift=0.31,
            skew=0.02,
            bound=0.2,
            missing=0.0,
            beyond=("os<1> drifted; most changed: 'a\x1b'.",),
        ),
        FeatureDrift(feature="price", kind=None, drift=None, skew=None, bound=None, missing=1.0),
    ),
)


def test_drift_in_run_json(tmp_path: Path) -> None:
    summary = dataclasses.replace(PUSHED, drift=MOVED)
    assert _run_json(tmp_path, summary)["drift"] == {
        "os<1>": {
            "kind": "categorical",
            "drift": 0.31,
            "skew": 0.02,
            "bound": 0.2,
            "missing": 0.0,
            "beyond": True,
        },
        "price": {
            "kind": None,
            "drift": None,
            "skew": None,
            "bound": None,
            "missing": 1.0,
            "beyond": False,
        },
    }
    assert _run_json(tmp_path, PUSHED)["drift"] is None


def test_verdict_lines_warn_of_what_drifted_too_far_unless_the_verdict_says_so() -> None:
    (line,) = (x for x in verdict_lines(dataclasses.replace(PUSHED, drift=MOVED)) if "os<1>" in x)
    assert line == "  !   os<1> drifted; most changed: 'a\\x1b'."
    refusing = dataclasses.replace(MOVED, action="refuse")
    lines = verdict_lines(dataclasses.replace(REFUSED, drift=refusing))
    assert not any("os<1>" in line for line in lines)


def test_drift_on_the_page(tmp_path: Path) -> None:
    page, _ = _page(tmp_path, dataclasses.replace(PUSHED, drift=MOVED))
    section = page[page.index('<h2 id="drift">') :]
    section = section[: section.index("</section>")]
    assert "os&lt;1&gt;" in section
    assert "! warning" in section
    assert "Skew was measured but not judged." in section
    assert section.index("os&lt;1&gt; <span") < section.index("price")  # in the order given
    assert section.count("✗ beyond") == 1
    assert re.search(r'<td class="n bad">0\.310</td>\s*<td class="n">0\.020</td>', section)
    assert 'id="drift"' not in _page(tmp_path, PUSHED)[0]


def test_drift_that_refuses_on_the_page(tmp_path: Path) -> None:
    refusing = dataclasses.replace(MOVED, action="refuse")
    assert "✗ refused" in _page(tmp_path, dataclasses.replace(FAILED, drift=refusing))[0]
