"""Tests of a running server: both protocols, refusals in words, and what it says of itself."""

from __future__ import annotations

import base64
import http.client
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import tensorflow as tf

from tests.components.serving.server.process import Answer, Server

ROW = {"user": "ann", "price": 50, "tags": ["a", "b"], "ts": "1970-01-02"}  # 0.125+0.5+0.5+0.5


def column(name: str, kind: str, *data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": [len(data)], "data": list(data), **more}


def example(price: float) -> dict[str, str]:
    floats = tf.train.FloatList(value=[price])
    features = tf.train.Features(feature={"price": tf.train.Feature(float_list=floats)})
    raw = tf.train.Example(features=features).SerializeToString()
    return {"b64": base64.b64encode(raw).decode()}


def text(name: str, value: str) -> dict[str, str]:
    """A serialized example with one text."""
    values = tf.train.BytesList(value=[value.encode()])
    features = tf.train.Features(feature={name: tf.train.Feature(bytes_list=values)})
    raw = tf.train.Example(features=features).SerializeToString()
    return {"b64": base64.b64encode(raw).decode()}


def test_rows_are_scored(running: Server):
    assert running.predictions("ranking", ROW, {}, {"price": None}) == [1.625, 0.125, 0.125]
    assert running.predictions("ranking") == []


def test_serialized_examples_are_scored(running: Server):
    assert running.predictions("ranking", example(50), example(0)) == [0.625, 0.125]


def test_lines_are_translated(running: Server):
    found = running.predictions("translation", "a b", {"source": "c"}, " ", nbest=2)

    assert [one["translation"] for one in found] == ["b a", "c", ""]
    assert [one["nbest"] for one in found] == [["b a", "b a 1"], ["c", "c 1"], []]
    assert [len(one["scores"]) for one in found] == [2, 2, 0]


def test_every_script_comes_through(running: Server):
    lines = ["שלום עולם", "👩‍👩‍👧 🙂", "ą ę", "x" * 2000]

    found = running.predictions("translation", *lines)

    assert [one["translation"] for one in found] == ["עולם שלום", "🙂 👩‍👩‍👧", "ę ą", "x" * 2000]


def test_tensors_are_scored_by_column(running: Server):
    answer = running.infer(
        "ranking", [column("price", "FP64", 50, 0), column("tags", "BYTES", "a|b", "")], id="7"
    )

    found = answer.json()
    (scores,) = found["outputs"]
    assert (scores["name"], scores["shape"], scores["datatype"]) == ("score", [2], "FP32")
    assert scores["data"] == [1.125, 0.125]
    assert (found["id"], found["model_version"]) == ("7", answer.version)


def test_tensors_are_translated(running: Server):
    inputs = [column("source", "BYTES", "a b", "")]

    found = running.infer("translation", inputs, parameters={"nbest": 2}).json()["outputs"]

    assert [(one["name"], one["shape"]) for one in found] == [
        ("translation", [2]),
        ("nbest", [2, 2]),
        ("scores", [2, 2]),
    ]
    assert found[1]["data"] == ["b a", "b a 1", "", ""]
    assert found[2]["data"][2:] == [-1e9, -1e9]


def test_only_the_outputs_that_are_asked_for_come(running: Server):
    inputs = [column("source", "BYTES", "a b")]

    found = running.infer("translation", inputs, outputs=[{"name": "translation"}]).json()

    assert [one["name"] for one in found["outputs"]] == ["translation"]
    wrong = running.infer("translation", inputs, outputs=[{"name": "x"}])
    assert (wrong.status, "Unexpected inference output 'x'" in wrong.error) == (400, True)


def test_tensors_may_be_binary(running: Server):
    raw = struct.pack("<I", 3) + "ä b".encode()[:3] + struct.pack("<I", 1) + b"c"
    head = {
        "inputs": [
            {
                "name": "source",
                "datatype": "BYTES",
                "shape": [2],
                "parameters": {"binary_data_size": len(raw)},
            }
        ]
    }
    text = json.dumps(head).encode()

    answer = running.post(
        "/v2/models/translation/infer",
        text + raw,
        **{"inference-header-content-length": str(len(text))},
    )

    assert answer.status == 200, answer.body
    assert answer.json()["outputs"][0]["data"] == ["ä", "c"]


def test_the_header_tells_the_version(running: Server):
    version = running.get("/babelrank/models").json()[0]["version"]

    assert running.predict("ranking", {}).version == version
    assert running.get("/v2/models/ranking").json()["versions"] == [version]


def test_metadata_tell_the_tensors(running: Server):
    found = running.get("/v2/models/ranking").json()

    assert [(one["name"], one["datatype"]) for one in found["inputs"]] == [
        ("user", "BYTES"),
        ("price", "FP32"),
        ("tags", "BYTES"),
        ("ts", "BYTES"),
    ]
    assert found["outputs"] == [{"name": "score", "datatype": "FP32", "shape": [-1]}]


def test_health(running: Server):
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/ranking/ready"):
        assert running.get(path).status == 200
    assert running.get("/v1/models").json() == {"models": ["ranking", "translation"]}
    assert running.get("/v1/models/translation").json() == {"name": "translation", "ready": True}


WRONG = [
    ({"instances": [{"price": "dear"}]}, "instance 1: price: got 'dear'; takes a number or null."),
    ({"instances": [{}, {"ts": "soon"}]}, "instance 2: ts: got 'soon'; takes a time or null."),
    ({"instances": [3]}, "instance 1: got 3; takes an object of columns"),
    ({"instances": {}}, "instances: got an object; takes a list."),
    ({"rows": []}, "body: got keys 'rows'; takes a JSON object with a list \"instances\"."),
    ([], "body: got a list; takes a JSON object"),
    ({"instances": [{}], "signature_name": "x"}, "got 'x'; takes predict_rows or serving_default."),
    ({"instances": [{}], "nbest": 2}, "nbest: got 2; takes a translation model."),
    ({"instances": [{"b64": "?"}]}, "instance 1: got {'b64': '?'}; takes"),
    ({"instances": [{"b64": "AAAA"}]}, "got 3 bytes that are no tf.Example"),
]


@pytest.mark.parametrize(("body", "reason"), WRONG)
def test_wrong_rows_are_refused_in_words(running: Server, body: Any, reason: str):
    answer = running.post("/v1/models/ranking:predict", body)

    assert (answer.status, reason in answer.error) == (400, True), answer.body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"instances": [1]}, "instance 1: got a number; takes a text, or"),
        ({"instances": [{"text": "a"}]}, "instance 1: got {'text': 'a'}; takes a text, or"),
        ({"instances": ["a"], "nbest": 4}, "nbest: got 4; takes 1 to 3, the beam"),
        ({"instances": ["a"], "nbest": True}, "nbest: got True; takes 1 to 3"),
    ],
)
def test_wrong_lines_are_refused_in_words(running: Server, body: Any, reason: str):
    answer = running.post("/v1/models/translation:predict", body)

    assert (answer.status, reason in answer.error) == (400, True), answer.body


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([column("x", "FP32", 1)], "inputs: got 'x'; takes user, price, tags, ts"),
        ([column("price", "BYTES", "1")], "price: got datatype 'BYTES'; takes FP32"),
        ([column("price", "FP32", 1)] * 2, "inputs: got price twice"),
        ([column("price", "FP32", 1), column("user", "BYTES")], "different lengths (price 1"),
        ([column("price", "FP32", 1) | {"shape": [2]}], "price: got 1 elements for shape [2]"),
        ([column("price", "FP32", 1) | {"shape": [1, 2]}], "price: got shape [1, 2]; takes [B]"),
        ([], "inputs: got none; takes columns of user"),
        ([{"name": "price"}], "inputs.0.shape: Field required"),
    ],
)
def test_wrong_tensors_are_refused_in_words(running: Server, inputs: Any, reason: str):
    answer = running.infer("ranking", inputs)

    assert (answer.status, reason in answer.error) == (400, True), answer.body


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_refused(running: Server, body: bytes):
    for path in ("/v1/models/translation:predict", "/v2/models/translation/infer"):
        assert running.post(path, body).status == 400


def test_half_a_surrogate_pair_is_refused(running: Server):
    """Such as JSON can write and UTF-8 cannot; json.dumps writes it as JSON does."""
    for model, name in (("ranking", "user"), ("ranking", "ts"), ("translation", "source")):
        first = running.predict(model, {name: "a\ud800"})
        second = running.infer(model, [column(name, "BYTES", "a\ud800")])
        assert (first.status, second.status) == (400, 400), (name, first.body, second.body)


def test_a_long_text_in_an_example_is_refused(running: Server):
    for model, name in (("ranking", "user"), ("translation", "source")):
        answer = running.predict(model, text(name, "x" * 2001))

        assert (answer.status, "got 2,001 characters" in answer.error) == (413, True)


def test_examples_are_translated_as_lines_are(running: Server):
    (found,) = running.predictions("translation", text("source", "a b"))

    assert found["translation"] == "b a"


@pytest.mark.parametrize("name", ["tags", "price", "user", "ts", "x"])
def test_deep_values_are_refused_or_ignored(running: Server, name: str):
    nested = b"[" * 1000 + b"]" * 1000
    body = b'{"instances": [{"' + name.encode() + b'": ' + nested + b"}]}"

    answer = running.post("/v1/models/ranking:predict", body)

    assert answer.status == (200 if name == "x" else 400), answer.body


@pytest.mark.parametrize("length", ["9999", "-1", "x", "2"])
def test_a_wrong_binary_request_is_refused(running: Server, length: str):
    headers = {"inference-header-content-length": length}

    answer = running.post("/v2/models/translation/infer", b'{"inputs": [{"name": 1}]}', **headers)

    assert answer.status == 400, answer.body


def test_an_unknown_model_is_not_found(running: Server):
    assert running.predict("other", {}).status == 404
    assert running.infer("other", [column("x", "FP32", 1)]).status == 404
    assert running.get("/v2/models/other").status == 404


def test_what_is_too_large_is_refused(running: Server):
    rows = running.predict("ranking", *[{}] * 601)
    text = running.predict("ranking", {"user": "x" * 2001})
    line = running.predict("translation", "x" * 2001)
    body = running.predict("ranking", {"y": "x" * 2**20})

    assert {one.status for one in (rows, text, line, body)} == {413}
    assert rows.error.startswith("instances: got 601; takes 600 at the most.")
    assert text.error == "instance 1: 'user': got 2,001 characters; takes 2,000 at the most."
    assert line.error == "instance 1: got 2,001 characters; takes 2,000 at the most."
    assert body.error == "body: takes 1 MiB at the most; send several requests."


def test_a_body_without_length_is_bounded_too(running: Server):
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
    pieces = iter([b"x" * 2**19] * 4)
    connection.request("POST", "/v1/models/ranking:predict", pieces, encode_chunked=True)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()

    assert (answer.status, said) == (
        413,
        {"error": "body: takes 1 MiB at the most; send several requests."},
    )


def test_nobody_unloads_a_model_from_outside(running: Server):
    for verb in ("load", "unload"):
        assert running.post(f"/v2/repository/models/ranking/{verb}", {}).status == 501
    assert running.predictions("ranking", {}) == [0.125]


def test_a_model_that_fails_spoils_no_other_request(running: Server):
    """`crash` makes the model fail; requests that were joined with it are answered."""

    def ask(user: str) -> Answer:
        return running.predict("ranking", {"user": user})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, ["crash" if n % 8 == 0 else "ann" for n in range(64)]))

    assert [one.status for one in answers] == [500 if n % 8 == 0 else 200 for n in range(64)]
    assert answers[0].error == "the server failed at this request; its log says why."


def test_after_a_failure_a_connection_is_not_used_again(running: Server):
    """A client that keeps its connections sees no request lost with one that failed."""
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)

    def status(user: str) -> int:
        body = json.dumps({"instances": [{"user": user}]})
        connection.request("POST", "/v1/models/ranking:predict", body)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert [status(user) for user in ("ann", "crash", "ann", "crash", "ann")] == (
        [200, 500, 200, 500, 200]
    )
    connection.close()


def test_what_is_not_there_is_told_as_other_errors_are(running: Server):
    assert running.get("/nothing").json() == {"error": "Not Found"}
    assert running.post("/metrics", {}).json() == {"error": "Method Not Allowed"}


def test_joined_requests_are_answered_as_single_ones(running: Server):
    rows = [{"price": n, "tags": ["t"] * (n % 4)} for n in range(150)]
    lines = [" ".join("abcdefgh"[: n % 8 + 1]) for n in range(50)]
    alone = [running.predictions("ranking", row)[0] for row in rows[:20]]

    with ThreadPoolExecutor(16) as pool:
        scores = list(pool.map(lambda row: running.predictions("ranking", row)[0], rows))
        texts = list(pool.map(lambda one: running.predictions("translation", one)[0], lines))

    assert scores[:20] == alone
    assert scores == running.predictions("ranking", *rows)
    assert [one["translation"] for one in texts] == [" ".join(reversed(x.split())) for x in lines]
    batches = running.metric('babelrank_batch_items_count{model="ranking"}')
    assert batches < running.metric('babelrank_batch_items_sum{model="ranking"}') - 150


def test_metrics_tell_what_happened(running: Server):
    name = 'babelrank_requests_total{code="%s",model="ranking"}'
    before = running.metric(name % 200)
    running.predict("ranking", {})
    running.predict("ranking", 1)
    for n in range(3):
        running.predict(f"other{n}", {})

    assert running.metric(name % 200) == before + 1
    assert running.metric(name % 400) >= 1
    assert running.metric('babelrank_request_seconds_count{model="ranking"}') >= before + 1
    assert running.metric('babelrank_queue_items{model="ranking"}') == 0
    assert running.metric("babelrank_resident_bytes") > 1e8
    assert "other" not in running.get("/metrics").body.decode()


def test_another_name_of_this_machine_is_not_answered(running: Server):
    """A page of the web could give its own name this machine's address."""
    assert running.get("/v2/health/live", host="evil.example").status == 400
    assert running.get("/v2/health/live", host="localhost:1").status == 200


def test_the_page_lets_nothing_else_in(running: Server):
    answer = running.get("/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "://" not in answer.body.decode()
