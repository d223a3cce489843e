"""A translation model that starts from another one's export: subwords by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from babelrank.components.training import warm_start
from babelrank.components.training.tables import RowCount
from babelrank.components.training.warm_start import Request
from babelrank.components.translation import signatures, subwords
from babelrank.components.translation.config import DataConfig, SideConfig, VocabularyConfig
from babelrank.components.translation.model import Transformer
from babelrank.components.translation.preprocessing import Tokenizer
from babelrank.components.translation.task import TranslationConfig, TranslationTask
from tests.components.translation.conftest import small_config

SPECIAL = ("<pad>", "</s>", "<unk>")
Make = Callable[..., tuple[TranslationTask, Transformer]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A task and its model, with one vocabulary or with two, each of single characters."""

    def vocabulary(characters: str) -> str:
        path = tmp_path / f"{characters}.model"
        config = VocabularyConfig(size=100, model="char", character_coverage=1.0)
        path.write_bytes(subwords.train(dict.fromkeys(characters, 1), config))
        return str(path)

    def task(
        source: str, target: str = "", start: Any = None, **config: Any
    ) -> tuple[TranslationTask, Transformer]:
        made = TranslationTask(
            TranslationConfig(
                model=small_config(decode_max_length=4),
                sentencepiece_model_path=vocabulary(source),
                target_sentencepiece_model_path=vocabulary(target) if target else "",
                warm_start=Request(folder=str(tmp_path / f"to-{source}"), source=start),
                **config,
            )
        )
        return made, made.build_model()

    return task


def export(task: TranslationTask, model: Transformer, folder: Path) -> str:
    """As the trainer does."""
    source, target = (Tokenizer(m) for m in (task._models[0], task._models[-1]))
    side = SideConfig(language="en")
    serving = signatures.ServingModel(model, source, target)
    signatures.save(serving, str(folder), DataConfig(path="x", source=side, target=side))
    warm_start.describe(task.rows(model), str(folder))
    return str(folder)


def embedded(task: TranslationTask, model: Transformer, side: int) -> dict[str, list[float]]:
    """Subword to embedding, of the source (0) or the target (-1)."""
    table = model.target_embedding if side else model.source_embedding
    pieces = subwords.pieces(task._models[side])
    return dict(zip(pieces, table.numpy().tolist(), strict=True))


def test_subwords_by_token(make: Make, tmp_path: Path):
    before_task, before = make("abc")
    path = export(before_task, before, tmp_path / "export")
    task, model = make("dcb", start=path, precision="bfloat16")
    fresh = embedded(task, model, -1)
    task.initialize(model)
    old, now = embedded(before_task, before, -1), embedded(task, model, -1)
    kept = {*SPECIAL, subwords.SPACE, "b", "c"}
    assert set(old) == {*kept, "a"}
    assert set(now) == {*kept, "d"}
    assert {token: now[token] for token in kept} == {token: old[token] for token in kept}
    assert now["d"] == fresh["d"]
    assert task.started.rows == (RowCount(name="subwords", kept=6, new=1, dropped=1),)
    assert task.started.fresh == ()
    assert task.started.sentences() == (
        f"started from {path}: 6 of 7 rows of subwords kept, 1 new, 1 dropped",
    )
    for one, other in zip(before.weights, model.weights, strict=True):
        if other is not model.target_embedding:
            np.testing.assert_array_equal(one, other)


def saved(task: TranslationTask, model: Transformer) -> str:
    """A checkpoint, and beside it what the rows stand for."""
    task.initialize(model)
    folder = Path(task.task_config.warm_start.folder)
    return str(tf.train.Checkpoint(model=model).write(str(folder / "ckpt")))


def test_from_one_vocabulary_to_two(make: Make):
    before_task, before = make("abc")
    path = saved(before_task, before)
    task, model = make("ab", "cd", start=path)
    task.initialize(model)
    old = embedded(before_task, before, -1)
    source, target = embedded(task, model, 0), embedded(task, model, -1)
    assert all(source[token] == old[token] for token in "ab")
    assert target["c"] == old["c"]
    assert "a" not in target
    assert task.started.rows == (
        RowCount(name="source", kept=6, new=0, dropped=0),
        RowCount(name="target", kept=5, new=1, dropped=0),
        RowCount(name="subwords", kept=0, new=0, dropped=0),
    )


def test_from_two_vocabularies_to_one(make: Make):
    before_task, before = make("ab", "bc")
    path = saved(before_task, before)
    task, model = make("abcd", start=path)
    task.initialize(model)
    now = embedded(task, model, -1)
    source, target = embedded(before_task, before, 0), embedded(before_task, before, -1)
    assert (now["a"], now["b"], now["c"]) == (source["a"], target["b"], target["c"])
    assert now["<unk>"] == target["<unk>"]
    assert task.started.rows[0] == RowCount(name="subwords", kept=7, new=1, dropped=0)


def test_from_a_checkpoint(make: Make, tmp_path: Path):
    before_task, before = make("abc")
    before_task.initialize(before)  # describes the rows
    folder = tmp_path / "to-abc" / "checkpoints" / "step-000007"
    tf.train.Checkpoint(model=before, step=tf.Variable(7)).write(str(folder / "ckpt"))
    task, model = make("cb", start=str(tmp_path / "to-abc"))
    task.initialize(model)
    assert embedded(task, model, -1)["c"] == embedded(before_task, before, -1)["c"]
    assert task.started.rows == (RowCount(name="subwords", kept=6, new=0, dropped=1),)
    assert task.started.source == str(folder / "ckpt")
