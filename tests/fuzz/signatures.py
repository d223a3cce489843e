"""A process that asks exported models whatever: `python -m tests.fuzz.signatures MODEL COUNT`.

Through each door of the model go random batches; every answer must be finite and of the batch's
size, or a clean error of TensorFlow's, after which the model still answers as before. Prints a
JSON line with the numbers of requests, answers and errors.
"""

from __future__ import annotations

import faulthandler
import json
import random
import sys
from collections import Counter
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401

import babelrank  # noqa: F401
from tests.fuzz import child

TEXTS = (
    *(b"", b"a", b"a red house", b"\0", b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"\xc3", b" " * 300, b"a|b|c", b"|" * 300, b"\\N", b"nan", "\u202eשלום".encode()),
    *("\N{GRINNING FACE}\u200d\N{GRINNING FACE}".encode(), "e\u0300\u0316\u2581\ufffd".encode()),
    *(b"1e999", b"-1", b"99999999999999999999", b"\r\n\t", b"a" * 300, "字".encode() * 100),
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 3.4e38, -3.4e38, float("inf"), float("-inf"), float("nan"))
INTEGERS = (0, 1, -1, 2**31, -(2**31), 2**63 - 1, -(2**63), 1_700_000_000, -62135596801, 10**17)
SIZES = (0, 1, 1, 1, 2, 3, 17)
LARGE = 257


def main(model: str, count: str) -> None:
    """Asks the model so often through each of its doors."""
    loaded = tf.saved_model.load(model)
    chance = random.Random(0)
    counts: Counter[str] = Counter()
    for name, door in loaded.signatures.items():
        _, inputs = door.structured_input_signature
        plain = {key: _batch(chance, spec, 2, plain=True) for key, spec in inputs.items()}
        before = _answers(door, plain)
        for number in range(int(count)):
            faulthandler.dump_traceback_later(child.LONGEST, exit=True)
            # A large batch of long texts takes memory without limit, which servers must set.
            size = LARGE if number == 1 else chance.choice(SIZES)
            plain_batch = size == LARGE
            batch = {key: _batch(chance, spec, size, plain_batch) for key, spec in inputs.items()}
            counts["requests"] += 1
            counts["rows"] += size
            try:
                answers = _answers(door, batch)
            # TensorFlow quotes what it refuses; Python cannot decode that when it is not UTF-8.
            except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
                counts["errors"] += 1
                counts[f"error: {type(error).__name__}"] += 1
                continue
            counts["answers"] += 1
            if name != "transform_features":
                _check(name, answers, size, batch)
        after = _answers(door, plain)
        for key, value in before.items():
            np.testing.assert_array_equal(value, after[key])
    faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(json.dumps(counts) + "\n")


def _answers(door: Any, batch: dict[str, tf.Tensor]) -> dict[str, Any]:
    return {key: value.numpy() for key, value in door(**batch).items()}


def _check(name: str, answers: dict[str, Any], size: int, batch: dict[str, tf.Tensor]) -> None:
    for key, value in answers.items():
        shown = {one: values.numpy().tolist() for one, values in batch.items()}
        assert len(value) == size, (name, key, value.shape, repr(shown)[:500])
        if value.dtype.kind == "f":
            assert np.isfinite(value).all(), (name, key, value.tolist(), repr(shown)[:2000])
        else:
            for text in value.ravel():
                text.decode()  # whatever came in, what goes out is UTF-8


def _batch(chance: random.Random, spec: Any, size: int, plain: bool = False) -> tf.Tensor:
    """[B] random values of a type; serialized examples for a door that takes them."""
    if spec.dtype == tf.string:
        make = _example if spec.name.startswith("examples") else _text
        values: list[Any] = [b"" if plain else make(chance) for _ in range(size)]
    elif spec.dtype.is_floating:
        values = [0.5 if plain else chance.choice(FLOATS) for _ in range(size)]
    else:
        values = [5 if plain else chance.choice(INTEGERS) for _ in range(size)]
    return tf.constant(values, spec.dtype, shape=[size])


def _text(chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return chance.randbytes(chance.randrange(40))
    return b"".join(chance.choice(TEXTS) for _ in range(chance.choice((1, 1, 2, 3))))


def _example(chance: random.Random) -> bytes:
    """A `tf.Example` with features of any kind and length, at times broken."""
    made = tf.train.Example()
    for name in ("user", "items", "place", "price", "rank", "ts", "source", "other", ""):
        feature = made.features.feature
        length = chance.choice((0, 1, 1, 1, 2, 50, 3000 if chance.random() < 0.05 else 1))
        kind = chance.choice(("bytes", "bytes", "float", "int", "none", "absent"))
        if kind == "bytes":
            feature[name].bytes_list.value.extend(_text(chance) for _ in range(length))
        elif kind == "float":
            feature[name].float_list.value.extend(chance.choice(FLOATS) for _ in range(length))
        elif kind == "int":
            feature[name].int64_list.value.extend(chance.choice(INTEGERS) for _ in range(length))
        elif kind == "none":
            feature[name].SetInParent()
    whole = bytearray(made.SerializeToString())
    if chance.random() < 0.3 and whole:
        whole[chance.randrange(len(whole))] = chance.randrange(256)
    if chance.random() < 0.1:
        del whole[chance.randrange(len(whole) + 1) :]
    return bytes(whole)


if __name__ == "__main__":
    main(*sys.argv[1:])
