"""Tests of what a serving check finds, on small models; `test_supervisor` has the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.errors import InputError
from babelrank.components.serving.check.doors import example
from babelrank.components.serving.check.job import Job, Stage
from babelrank.components.serving.check.process import Check
from babelrank.components.serving.check.report import CheckReport
from babelrank.components.serving.config import ServingConfig
from babelrank.components.serving.model_rows import RowsDescription
from babelrank.components.serving.reference import Reference, ReferenceRow
from tests.components.serving.check import models as check_models
from tests.components.serving.check.models import COLUMNS, Model, sound

ROWS = [
    {"price": 1.0, "word": "yes", "tags": "a|b", "when": 7},
    {"price": 2.0, "word": "no", "tags": "", "when": None},
    {"price": None, "word": None},
]
SCORES = [0.1 + 1 + 2 * 0.5 + 0.25, 0.2, 0.0]


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., CheckReport]:
    """A function that exports a model and checks it in this process."""

    def run(model: Model, described: bool = True, reference: Any = None, **settings: Any) -> Any:
        requests = tmp_path / "rows.jsonl"
        requests.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        kept = None if reference is None else tmp_path / "reference.json"
        if kept is not None:
            reference.save(kept)
        job = Job(
            model=check_models.save(model, tmp_path / "model", described),
            config=ServingConfig(requests=4, **settings),
            requests=requests if described else _examples(tmp_path),
            reference=kept,
            warmup=tmp_path / "warmup",
        )
        return Check(job, tmp_path).run()

    return run


def _examples(folder: Path) -> Path:
    path = folder / "data_tfrecord-00000-of-00001.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in ROWS:
            writer.write(raw(row))
    return path


def raw(row: dict[str, Any]) -> bytes:
    """The example of a row."""
    cells = {c.name: c.array([row.get(c.name)], [1]).tolist()[0] for c in COLUMNS}
    return example(COLUMNS, cells)


def refusals(report: CheckReport) -> list[str]:
    assert report.ok == all(finding.ok for finding in report.findings)
    return [finding.text for finding in report.findings if not finding.ok]


def reference(scores: list[float], **more: Any) -> Reference:
    rows = [
        ReferenceRow(inputs={"id": [number]}, outputs={"score": score}, example=raw(ROWS[number]))
        for number, score in enumerate(scores)
    ]
    return Reference(rows=tuple(rows), **more)


def test_a_sound_model(checked: Any, tmp_path: Path):
    report = checked(Model(sound), reference=reference(SCORES))
    assert refusals(report) == []
    texts = [finding.text for finding in report.findings]
    assert "predict_rows: answers all 12 kinds of requests with finite values." in texts
    assert "predict_rows: 4 examples get the same answers alone and in a batch." in texts
    assert "serving_default answers as predict_rows does." in texts
    assert report.compared == 3
    assert report.largest_difference < 1e-6
    timed = {(one.signature, one.batch) for one in report.latencies}
    assert timed == {(n, b) for n in ("predict_rows", "serving_default") for b in (1, 4)}
    assert all(0 < one.p50_ms <= one.p99_ms for one in report.latencies)
    assert (report.memory_mib > 100, report.load_seconds > 0, report.model_mib > 0) == (True,) * 3
    assert 5 < report.operations < 100
    assert report.warmup_requests == 16
    assert Stage.load(tmp_path).doing == "timing serving_default"


def test_a_batch_of_one_that_fails(checked: Any):
    model = Model(sound, more=lambda word: {"length": tf.squeeze(tf.strings.length(word))})
    found = refusals(checked(model, described=False))
    assert found[0] == (
        "serving_default, asked a batch of one: length has the shape []; expected [1, ...]."
    )
    assert not any("asked a batch of 4" in text for text in found)


def test_what_is_not_finite(checked: Any):
    known = tf.constant(["yes", "no", ""])
    model = Model(
        lambda price, word: tf.where(
            tf.reduce_any(word[:, None] == known, axis=1), sound(price, word), float("nan")
        )
    )
    report = checked(model)
    first = next(f for f in report.findings if "predict_rows, asked unknown" in f.text)
    assert first.text == (
        "predict_rows, asked unknown categories or words: score is [nan] in row 0; expected finite "
        "numbers."
    )
    assert '"price": 1.0' in first.request
    assert "never-seen" in first.request
    assert report.latencies == ()  # what cannot answer has no speed
    assert report.warmup_requests == 0


def test_a_door_that_fails_is_not_compared_and_the_other_is(checked: Any):
    refusing = Model(
        sound,
        rows=lambda price, word: tf.debugging.check_numerics(
            sound(price, word) / price, "no price"
        ),
    )
    skewed = [SCORES[0], SCORES[1] + 0.01]
    report = checked(refusing, reference=reference(skewed))
    found = refusals(report)
    assert any(text.startswith("predict_rows, asked a batch of 4: Invalid") for text in found)
    assert [text.split(" answers")[0] for text in found if "skew" in text] == [
        "Training-serving skew: serving_default"
    ]
    assert report.compared == 2


def test_a_model_that_answers_the_trainers_examples_with_nothing(checked: Any):
    model = Model(lambda price, word: tf.where(price == 5.0, float("nan"), sound(price, word)))
    row = {"price": 5.0, "word": "yes"}
    kept = ReferenceRow(inputs={"id": [1]}, outputs={"score": 1.5}, example=raw(row))
    found = refusals(checked(model, described=False, reference=Reference(rows=(kept,))))
    assert found == [
        "serving_default, asked what the trainer's model was asked: score is [nan] in row 0; "
        "expected finite numbers."
    ]


def test_a_long_text_among_others(checked: Any):
    def crowded(word: tf.Tensor) -> dict[str, tf.Tensor]:
        cells = tf.reduce_sum(tf.ones_like(word, tf.int64)) * tf.cast(
            tf.reduce_max(tf.concat([tf.strings.length(word), [0]], 0)), tf.int64
        )
        allowed = tf.debugging.assert_less(cells, tf.constant(10_001, tf.int64))
        with tf.control_dependencies([allowed]):
            return {"length": tf.strings.length(word)}

    (found,) = refusals(checked(Model(sound, more=crowded), described=False))
    assert found.startswith(
        "serving_default, asked texts of 5,000 characters beside ordinary ones: Invalid"
    )


def test_an_error_of_the_check_loses_no_finding(checked: Any, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise ValueError("no clock\nsecond line")

    monkeypatch.setattr("babelrank.components.serving.check.latency.measure", fail)
    report = checked(Model(sound), described=False)
    assert refusals(report) == ["While timing serving_default: ValueError: no clock"]
    assert any("kinds of requests" in finding.text for finding in report.findings)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"price": "cheap"}', "rows.jsonl, line 3: price: got 'cheap'; takes a number"),
        ("[1]", r"rows.jsonl, line 3: got \[1\]; takes a JSON object"),
        ("{", "rows.jsonl, line 3: not valid JSON"),
    ],
)
def test_requests_that_cannot_be_read(tmp_path: Path, line: str, message: str):
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(ROWS[0])}\n\n{line}\n")
    model = tmp_path / "model"
    RowsDescription(task="ranking", signature="predict_rows", output="score", columns=COLUMNS).save(
        str(model)
    )
    job = Job(model=model, config=ServingConfig(), requests=tmp_path / "rows.jsonl")
    with pytest.raises(InputError, match=message):
        Check(job, tmp_path).run()


def test_an_answer_that_depends_on_the_others_in_the_batch(checked: Any):
    model = Model(lambda price, word: price - tf.reduce_mean(price))
    found = refusals(checked(model, described=False))
    assert found[0].startswith(
        "serving_default: an example alone gets another answer than in a batch of 4: score: got "
    )


def test_doors_that_disagree(checked: Any):
    model = Model(sound, rows=lambda price, word: sound(price, word) + price)
    (found,) = refusals(checked(model))
    # All kinds but the empty batch and the one without any features.
    assert found == (
        "serving_default and predict_rows disagree on 10 of 12 kinds of requests. The first is a "
        "batch of one: score: got 2.35, expected 3.35 (1 apart), which predict_rows gives."
    )


def test_a_model_that_is_not_what_was_trained(checked: Any):
    skewed = [SCORES[0], SCORES[1] + 0.01, SCORES[2]]
    report = checked(Model(sound), reference=reference(skewed))
    found = [finding for finding in report.findings if not finding.ok]
    assert [finding.text for finding in found] == [
        f"Training-serving skew: {door} answers 1 of 3 examples otherwise than the trainer's own "
        "model. The first: score: got 0.2, expected 0.21 (0.01 apart); serving.tolerance "
        "is 0.0001."
        for door in ("predict_rows", "serving_default")
    ]
    assert '"word": "no"' in found[0].request
    assert report.largest_difference == pytest.approx(0.01, abs=1e-6)
    assert refusals(checked(Model(sound), reference=reference(skewed), tolerance=0.02)) == []


def test_examples_of_the_trainer_that_nothing_turns_into(checked: Any):
    lost = ReferenceRow(inputs={"id": [5]}, outputs={"score": 0.5})
    kept = Reference(rows=(*reference(SCORES).rows, lost), scanned=1000)
    report = checked(Model(sound), reference=kept)
    (found,) = [finding for finding in report.findings if not finding.ok]
    assert found.text.startswith(
        "Training-serving skew: 1 of the 4 examples that the trainer kept are none of the 1,000 "
        "raw examples of eval"
    )
    assert found.request == "{'id': [5]}"
    bounded = Reference(rows=kept.rows, scanned=1000, complete=False)
    report = checked(Model(sound), reference=bounded)
    assert refusals(report) == []
    assert any("outputs for 3 of 4 examples" in finding.text for finding in report.findings)


def test_what_the_network_is_fed(checked: Any):
    length = {"fed": lambda word: tf.cast(tf.strings.length(word), tf.int64)}
    rows = [
        ReferenceRow(inputs={"fed": [size]}, outputs={"other": 1.0}, example=raw(row))
        for row, size in zip(ROWS, (3, 4, 0), strict=True)
    ]
    model = Model(sound, more=lambda word: {n: f(word) for n, f in length.items()})
    found = refusals(checked(model, described=False, reference=Reference(rows=tuple(rows))))
    assert found == [
        "Training-serving skew: serving_default feeds the network otherwise: fed: got 2, expected "
        "4 (2 apart)."
    ]
    ignored = Reference(rows=tuple(rows), replaced=("fed",))
    assert refusals(checked(model, described=False, reference=ignored)) == []


def test_texts_that_json_cannot_hold(checked: Any):
    model = Model(sound, more=lambda word: {"echo": word})
    (found,) = refusals(checked(model, described=False))
    assert found.startswith(
        "serving_default, asked bytes that are not UTF-8: echo is b'caf\\xe9 \\xff\\xfe"
    )
    assert found.endswith("expected UTF-8, which JSON answers need.")


def test_operations_that_a_server_lacks(checked: Any):
    model = Model(lambda price, word: tf.math.real(tf.signal.fft(tf.cast(price, tf.complex64))))
    assert not any("lacks" in text for text in refusals(checked(model, described=False)))
    nd = Model(
        sound,
        more=lambda word: {
            "n": tf.raw_ops.RFFTND(
                input=tf.ones([tf.size(word), 4]), fft_length=[4], axes=[1], Tcomplex=tf.complex64
            )
        },
    )
    found = refusals(checked(nd, described=False, tf_serving="2.14.1"))
    assert found[0] == (
        "TensorFlow Serving 2.14.1 lacks the operation RFFTND, which TensorFlow 2.15 has, and "
        "would refuse to load the model. Serve it with a newer version and set "
        "serving.tf_serving to that, or to null if it is served by something else."
    )


@pytest.mark.parametrize("key", ["max_p50_ms", "max_p99_ms", "max_memory_mib"])
def test_budgets(checked: Any, key: str):
    found = refusals(checked(Model(sound), described=False, **{key: 1 if "mib" in key else 1e-6}))
    assert len(found) == 1
    assert found[0].endswith(f"above serving.{key} = {'1' if 'mib' in key else '1e-06'}.")
    assert refusals(checked(Model(sound), described=False, **{key: 1_000_000})) == []


def test_what_is_no_model(tmp_path: Path):
    job = Job(model=tmp_path / "none", config=ServingConfig())
    report = Check(job, tmp_path).run()
    (found,) = refusals(report)
    assert "cannot read the model" in found
    assert report.findings[1].text.startswith("There were no real examples to ask")


def test_a_signature_that_nobody_knows_how_to_ask(tmp_path: Path):
    model = check_models.save(Model(sound), tmp_path / "model")
    (model / "assets.extra" / "babelrank_rows.json").unlink()
    job = Job(model=model, config=ServingConfig(requests=3), requests=_examples(tmp_path))
    report = Check(job, tmp_path).run()
    assert report.ok
    assert not any("no real examples" in finding.text for finding in report.findings)
    texts = [finding.text for finding in report.findings]
    assert "predict_rows: not asked: it takes neither examples nor described columns." in texts
    assert "Not compared with the trainer's outputs: there are none here." in texts


def test_warmup_is_what_tensorflow_serving_reads(checked: Any, tmp_path: Path):
    from tensorflow_serving.apis import prediction_log_pb2

    checked(Model(sound), warmup_requests=6)
    path = tmp_path / "warmup"
    before = path.read_bytes()
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(path))
    ]
    asked = [(log.model_spec.signature_name, set(log.inputs)) for log in logs]
    columns = {column.name for column in COLUMNS}
    assert asked == [("predict_rows", columns), ("serving_default", {"examples"})] * 3
    sizes = [tf.make_ndarray(next(iter(log.inputs.values()))).shape for log in logs]
    assert sizes == [(4,), (4,), (1,), (1,), (1,), (1,)]
    assert tf.make_ndarray(logs[3].inputs["examples"]).tolist() == [raw(ROWS[0])]
    checked(Model(sound), warmup_requests=6)
    assert path.read_bytes() == before
    path.unlink()
    checked(Model(sound), warmup_requests=0)
    assert not path.exists()
