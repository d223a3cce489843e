"""Made-up runs for tests of the pages: one of each kind, with everything that a report can show."""

from __future__ import annotations

import dataclasses
import math

from babelrank.components.evaluation.drift import DriftReport, FeatureDrift
from babelrank.components.evaluation.index_page import IndexedRun
from babelrank.components.evaluation.report import (
    Charts,
    Finding,
    RowsSummary,
    RunSummary,
    SampleTranslation,
    SliceRow,
    Station,
    StepSummary,
)
from babelrank.components.serving.check.report import CheckFinding, CheckReport, Latency

HOSTILE = (
    '<img src=x onerror="document.title=1">\u202e\x00{{7*7}}</script><script>alert(1)</script>'
)
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 5
HEBREW = (
    "\u05d4\u05d7\u05ea\u05d5\u05dc \u05d9\u05e9\u05d1 \u05e2\u05dc \u05d4\u05e9\u05d8\u05d9\u05d7"
)

CHECK = CheckReport(
    ok=True,
    findings=(
        CheckFinding(ok=True, text="serving_default answered 64 requests as the trainer did."),
    ),
    command="babelrank check out/clicks/artifacts/Trainer/model/7",
    compared=64,
    largest_difference=3.1e-7,
    latencies=(
        Latency(signature="serving_default", batch=1, requests=200, p50_ms=0.84, p99_ms=2.31),
        Latency(signature="serving_default", batch=64, requests=50, p50_ms=1.9, p99_ms=1312.0),
    ),
    memory_mib=612.5,
    load_seconds=1.4,
    model_mib=3.2,
    operations=61,
    warmup_requests=16,
    versions={"tensorflow": "2.16.2"},
)
REFUSED_CHECK = dataclasses.replace(
    CHECK,
    ok=False,
    findings=(
        CheckFinding(
            ok=False,
            text="score: a row without price gave NaN; takes a number from 0 to 1.",
            request='{"user": "u1", "hour": "3"}',
        ),
        *CHECK.findings,
    ),
)
STATIONS = (
    Station(name="Data", lines=("spans 1, 2, 3", "59,812 of 60,000 rows")),
    Station(name="Warm start", lines=("weights from", "run 20260303-040000-1"), beside=True),
    Station(name="Model", lines=("trained in this run",)),
    Station(name="Baseline", lines=("last blessed model", "run 20260303-040000-1"), beside=True),
    Station(name="Gate", lines=("blessed", "AUC 0.771", "on test"), tone="good"),
    Station(name="Serving check", lines=("passed", "64 examples equal"), tone="good"),
    Station(name="Pushed", lines=("version 3",), tone="good"),
)
DRIFT = DriftReport(
    action="report",
    split="test",
    notes=("Skew was measured but not judged.",),
    features=(
        FeatureDrift(
            feature="os",
            kind="categorical",
            drift=0.31,
            skew=0.02,
            bound=0.2,
            missing=0.0,
            beyond=(
                "os drifted by 0.310, beyond drift.max_categorical = 0.2; most changed: "
                "'ios' 0.10 -> 0.41.",
            ),
        ),
        FeatureDrift(
            feature="price", kind="numeric", drift=0.01, skew=None, bound=0.2, missing=0.03
        ),
    ),
)
STEPS = tuple(
    StepSummary(name=name, state=state, seconds=seconds, memory_mib=memory)
    for name, state, seconds, memory in (
        ("Ingest", "ran", 4.1, 812.0),
        ("StatisticsGen", "cached", 0.1, 812.0),
        ("Trainer", "ran", 131.0, 1893.4),
        ("Evaluator", "ran", 16.2, 2004.9),
        ("ServingCheck", "ran", 9.8, 2610.0),
        ("Pusher", "ran", 0.1, 2004.0),
    )
)
RANKING = RunSummary(
    run_id="20260304-101501-000001",
    pipeline="clicks",
    task="ranking",
    status="pushed",
    blessed=True,
    pushed_model="/models/clicks/3",
    started="2026-03-04T10:15:01.5+00:00",
    steps=STEPS,
    metrics={
        "auc": 0.771,
        "pr_auc": 0.52,
        "log_loss": 0.41,
        "calibration": 1.02,
        "ece": 0.011,
        "ndcg": 0.61,
        "lift": 3.4,
        "label_mean": 0.24,
        "examples": 20_000.0,
    },
    baseline={"auc": 0.768, "pr_auc": 0.53, "log_loss": 0.41, "calibration": 0.97, "lift": 3.3},
    split="test",
    split_note="test is the newest span, 3.",
    verdict=(
        Finding(ok=True, text="auc 0.7710 keeps evaluation.min_auc = 0.7."),
        Finding(
            ok=True,
            text="Schema anomaly: os (train): Unexpected values.",
            kind="data",
            note=True,
        ),
    ),
    drift=DRIFT,
    anomalies=("os (train): Unexpected values.",),
    check=CHECK,
    lineage=STATIONS,
    rows=RowsSummary(
        read=60_000,
        used=59_812,
        dropped={"label missing": 100},
        quarantined={"not_a_number": 88},
        examples=(("not_a_number", "day=1/part-0.csv", 1234, "u1,\x00,<b>12,x\u202e"),),
    ),
    splits={"train": 35_000, "eval": 4812, "test": 20_000},
    spans=(1, 2, 3),
    versions={"python": "3.11.2", "tfx": "1.16.0"},
    optimum={"auc": 0.785},
    warm_start=("started from run 2026: 4 of 5 rows of user kept",),
    config_yaml="name: clicks\n" + "data:\n  path: logs/day={SPAN}/*.csv\n" * 3,
)
_CURVE = [(i / 100, (i / 100) ** 0.35) for i in range(101)]
RANKING_CHARTS = Charts(
    roc=_CURVE,
    roc_baseline=[(x, x**0.4) for x, _ in _CURVE],
    calibration=[(i / 40, i / 40 + 0.01 * (-1) ** i, 1000) for i in range(1, 21)],
    scores=[
        (i / 40, (i + 1) / 40, 900 * math.exp(-i / 9), 300 * math.exp(-(((i - 14) / 9) ** 2)))
        for i in range(40)
    ],
    loss=[(i, 0.4 + 0.3 * math.exp(-i / 300)) for i in range(0, 2000, 10)],
    evaluation={"auc": [(i, 0.77 - 0.2 * math.exp(-i / 300)) for i in range(100, 2000, 100)]},
    slices=tuple(
        SliceRow(
            slice=f"hour={hour}",
            examples=100 + 37 * hour,
            metrics={"auc": 0.7 + 0.003 * ((hour * 7) % 24), "log_loss": 0.41, "ndcg": 0.6},
            baseline=None if hour == 9 else {"auc": 0.73, "log_loss": 0.42, "ndcg": 0.6},
        )
        for hour in range(24)
    ),
)
TRANSLATION = RunSummary(
    run_id="20260305-101501-000002",
    pipeline="en-he",
    task="translation",
    status="pushed",
    blessed=True,
    pushed_model="/models/en-he/12",
    started="2026-03-05T10:15:01.5+00:00",
    steps=STEPS,
    metrics={"bleu": 31.27, "chrf": 54.61, "examples": 2003.0},
    baseline={"bleu": 30.12, "chrf": 54.58, "examples": 2003.0},
    intervals={"bleu": (30.01, 32.55), "chrf": (53.2, 56.0)},
    p_values={"bleu": 0.0123, "chrf": 0.41},
    signatures={"bleu": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"},
    split="test",
    verdict=(Finding(ok=True, text="bleu 31.27 keeps evaluation.min_bleu = 20."),),
    check=CHECK,
    lineage=(
        STATIONS[0],
        Station(name="Vocabulary", lines=("carried over", "8,000 subwords, shared")),
        *STATIONS[1:],
    ),
    languages=("en", "he"),
    vocabulary={
        "source": {"size": 8000, "subwords_per_word": 1.31},
        "target": {"size": 7000, "unknown_share": 0.002},
    },
    vocabulary_notes=("Not covered, target: \u2603 (12).",),
    splits={"train": 180_000, "test": 2003},
    config_yaml="name: en-he",
)
TRANSLATION_CHARTS = Charts(
    slices=tuple(
        SliceRow(
            slice=f"source_length={name}",
            examples=700,
            metrics={"bleu": bleu, "chrf": 50.0},
            baseline={"bleu": 30.0, "chrf": 50.0},
        )
        for name, bleu in (("01-05", 38.2), ("06-10", 31.4), ("11-20", 24.0))
    ),
    lengths=(
        SliceRow(slice="1-5", examples=700, metrics={"bleu": 38.2}, baseline={"bleu": 37.5}),
        SliceRow(slice="6-10", examples=9, metrics={"bleu": 21.4}),
    ),
    evaluation={"bleu": [(100, 3.0), (200, 30.4)]},
    loss=[(0, 6.0), (100, 3.0), (200, 2.0)],
    samples=tuple(
        SampleTranslation(
            kind=kind,
            chrf=chrf,
            source="The cat sat on the mat.",
            reference=f"{HEBREW}.",
            translation=f"{HEBREW.replace(HEBREW[:5], HEBREW[6:9])}!",
            baseline=f"{HEBREW} {HEBREW}.",
        )
        for kind, chrf in (("worst", 3.1), ("random", 51.0), ("best", 98.7))
    ),
)
REFUSED = dataclasses.replace(
    RANKING,
    run_id="20260306-101501-000003",
    status="refused",
    blessed=False,
    pushed_model=None,
    check=None,
    lineage=(
        *STATIONS[:4],
        Station(name="Gate", lines=("refused", "AUC 0.701"), tone="bad"),
        Station(name="Not pushed"),
    ),
    verdict=(
        Finding(ok=False, text="auc is 0.7010, 0.0670 below the last blessed model's 0.7680."),
        Finding(ok=False, text="12 % of the rows are quarantined.", kind="data"),
        *RANKING.verdict,
    ),
)
UNSERVED = dataclasses.replace(RANKING, status="refused", pushed_model=None, check=REFUSED_CHECK)
FORCED = dataclasses.replace(
    REFUSED, status="pushed", blessed=True, pushed_model="/models/clicks/4", forced="Holiday sale."
)
FAILED = RunSummary(
    run_id="20260307-101501-000004",
    pipeline="clicks",
    task="ranking",
    status="failed",
    started="2026-03-07T10:15:01.5+00:00",
    steps=(
        StepSummary(
            name="Ingest", state="failed", seconds=2.0, error="BadRows: 6 %\n  a.csv:3 <x>"
        ),
        StepSummary(name="Trainer", state="not reached"),
    ),
    lineage=STATIONS[:1],
    rows=RowsSummary(read=100, used=0, quarantined={"bad label": 6}),
)
HUGE = dataclasses.replace(
    RANKING,
    pipeline=LONG,
    pushed_model=f"/{LONG}/{HOSTILE}",
    metrics={**RANKING.metrics, HOSTILE: 1.0, LONG: math.nan},
    verdict=tuple(Finding(ok=i > 9, text=f"{HOSTILE} {LONG}") for i in range(60)),
    check=dataclasses.replace(REFUSED_CHECK, command=f"babelrank check {LONG} {HOSTILE}"),
    lineage=(*STATIONS, Station(name=HOSTILE, lines=(LONG, HOSTILE, HEBREW))),
    rows=RowsSummary(
        read=10,
        used=9,
        quarantined={LONG: 1},
        examples=((HOSTILE, LONG, 1, HOSTILE + LONG), ("not_utf8", "b.csv", 2, "")),
    ),
    anomalies=(HOSTILE, LONG, HEBREW),
    warm_start=(LONG, HOSTILE),
    versions={LONG: HOSTILE},
    config_yaml=f"{LONG}: {HOSTILE}",
)
LONG_NAMES = (HOSTILE, LONG, HEBREW, "x" * 3_000_000, "x" * 3_000_001)
HUGE_CHARTS = dataclasses.replace(
    RANKING_CHARTS,
    slices=tuple(
        SliceRow(
            slice=name,
            examples=10_000 if i < len(LONG_NAMES) else i,
            metrics={"auc": math.nan if i == 3 else 0.5 + i / 10_000, "rmse": float(i)},
            baseline={"auc": 0.6, "rmse": 100.0},
        )
        for i, name in enumerate([*LONG_NAMES, *(f"item={i}" for i in range(4995))])
    ),
    samples=(
        SampleTranslation(
            kind="worst",
            chrf=0.0,
            source=HOSTILE,
            reference=LONG + HOSTILE,
            translation=HEBREW + HOSTILE,
            baseline=LONG,
        ),
    ),
)
CASES = {
    "ranking": (RANKING, RANKING_CHARTS),
    "translation": (TRANSLATION, TRANSLATION_CHARTS),
    "refused": (REFUSED, RANKING_CHARTS),
    "unserved": (UNSERVED, RANKING_CHARTS),
    "forced": (FORCED, RANKING_CHARTS),
    "failed": (FAILED, Charts()),
    "huge": (HUGE, HUGE_CHARTS),
}
INDEX = tuple(
    IndexedRun(
        run_id=f"r{day:02}",
        status=("pushed", "pushed", "refused", "pushed", "failed")[day % 5],
        when=86400.0 * day,
        started=f"2026-03-{day:02}T04:00:00+00:00",
        why=HOSTILE + LONG if day == 7 else "auc is 0.7010, 0.0670 below the last blessed model's.",
        pipeline="clicks",
        metrics={} if day % 5 == 4 else {"auc": 0.75 + 0.001 * ((day * 7) % 11)},
        spans=(day, day + 1, day + 2),
        version=str(day) if day % 5 in (0, 1, 3) else "",
        seconds=100.0 + day,
        report=f"runs/r{day:02}/report.html",
    )
    for day in range(1, 31)
)
