"""What the trainer keeps of translations, and that the served model gives the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.serving.check.doors import example
from babelrank.components.serving.check.job import Job
from babelrank.components.serving.check.process import Check
from babelrank.components.serving.config import ServingConfig
from babelrank.components.serving.model_rows import RowColumn
from babelrank.components.serving.reference import Reference, ReferenceRow
from babelrank.components.translation import signatures, subwords
from babelrank.components.translation.config import DataConfig, SideConfig, VocabularyConfig
from babelrank.components.translation.model import build_transformer
from babelrank.components.translation.preprocessing import Tokenizer
from babelrank.components.translation.reference import reference
from tests.components.translation.conftest import small_config

SENTENCES = ["a red house", "", "the green car"]


class Store:
    """The subword ids of the sentences, as Transform writes them."""

    rows = len(SENTENCES)

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._ids = tokenizer.tokenize(tf.constant(SENTENCES)).to_tensor(0).numpy()

    def take(self, rows: Any, pad: int) -> dict[str, Any]:
        assert pad == 0
        return {"inputs": np.asarray(self._ids[rows], np.int32)}


def test_the_served_model_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Of 10,000 subwords, which these few make, attention would take a minute.
    monkeypatch.setattr("babelrank.components.serving.check.cases.LONG", 300)
    text = "a red green house car the ein rotes grünes haus auto das und and"
    proto = subwords.train({word: 3 for word in text.split()}, VocabularyConfig(size=40))
    tf.keras.utils.set_random_seed(3)
    tokenizer = Tokenizer(proto)
    config = small_config(beam_size=3, decode_max_length=6)
    model = build_transformer(config, tokenizer.vocab_size, tokenizer.vocab_size)
    for variable in model.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.5))
    served = signatures.ServingModel(model, tokenizer, tokenizer)
    kept = reference(served, SimpleNamespace(store=Store(tokenizer)))
    assert len(kept.rows) == 2  # an empty sentence is not searched for
    assert [row.inputs["inputs"][-1] for row in kept.rows] == [tokenizer.eos_id] * 2
    sides = {"source": SideConfig(language="en"), "target": SideConfig(language="de")}
    signatures.save(served, str(tmp_path / "model"), DataConfig(path="x.tsv", **sides))

    column = RowColumn(name="source", kind="text")
    worse = {"translation": "ganz anders", "scores": 0.5}  # the other one is left as it is
    rows = [
        ReferenceRow(
            inputs=row.inputs,
            outputs={**row.outputs, **changed},
            example=example([column], {"source": sentence}),
        )
        for row, sentence, changed in zip(
            kept.rows, (SENTENCES[0], SENTENCES[2]), ({}, worse), strict=True
        )
    ]
    path = tmp_path / "reference.json"
    Reference(rows=tuple(rows)).save(path)
    config = ServingConfig(requests=2)
    job = Job(model=tmp_path / "model", config=config, reference=path)
    report = Check(job, tmp_path).run()
    assert report.compared == 2
    found = [finding for finding in report.findings if not finding.ok]
    assert len(found) == 2  # one for each door
    assert all("answers 1 of 2 examples otherwise" in finding.text for finding in found)
    assert all(SENTENCES[2] in finding.request for finding in found)
