"""Asks TensorFlow Serving by REST for scores or translations; takes the standard library only.

serve_rest.py http://localhost:8501 ranking '{"user_id": "u7", "price": 4.5}' '{"user_id": "u8"}'
serve_rest.py http://localhost:8501 translation 'a red house' 'the car'
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

# The server knows no optional columns: these stand for what a row lacks. NaN goes out as a bare
# word, which is no JSON, but is what the server takes.
MISSING: dict[str, Any] = {"DT_STRING": "", "DT_FLOAT": float("nan"), "DT_INT64": -(2**63)}


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The answer to a GET, or with a body to a POST."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code}: {error.read().decode(errors='replace')}")
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        sys.exit(f"{url}: no answer ({reason}). Is the server running, and is this its address?")


def signatures(model: str) -> dict[str, Any]:
    """The signatures of a model by name, with their inputs and outputs."""
    found: dict[str, Any] = ask(f"{model}/metadata")["metadata"]["signature_def"]["signature_def"]
    return found


def scores(model: str, inputs: dict[str, Any], rows: list[dict[str, Any]]) -> list[float]:
    """A score for each row. Times are whole seconds since 1970; several categories are one text."""
    kinds = {name: one["dtype"] for name, one in inputs.items()}
    full = [{name: value(kind, row.get(name)) for name, kind in kinds.items()} for row in rows]
    request = {"signature_name": "predict_rows", "instances": full}
    found: list[float] = ask(f"{model}:predict", request)["predictions"]
    return found


def value(kind: str, given: Any) -> Any:
    """A value as the server takes it; a number with a point, since 20000000 would be refused."""
    if given is None:
        return MISSING[kind]
    return float(given) if kind == "DT_FLOAT" else given


def translations(model: str, sentences: list[str]) -> list[dict[str, Any]]:
    """For each sentence `translation`, and the best few in `nbest` with their `scores`."""
    request = {"signature_name": "translate", "instances": sentences}
    found: list[dict[str, Any]] = ask(f"{model}:predict", request)["predictions"]
    return found


if __name__ == "__main__":
    server, name, *questions = sys.argv[1:]
    model = f"{server}/v1/models/{name}"
    doors = signatures(model)
    answers: list[Any]
    if "translate" in doors:
        answers = translations(model, questions)
    else:
        inputs = doors["predict_rows"]["inputs"]
        answers = scores(model, inputs, [json.loads(row) for row in questions])
    for answer in answers:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
