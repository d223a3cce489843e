"""Where an earlier model is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import rows
from babelrank.components.training.predecessor import find
from babelrank.components.training.rows import Rows

MEANINGS = [Rows(name="user", tokens=("a",))]


def saved_model(folder: Path) -> Path:
    module = tf.Module()
    module.v = tf.Variable(1.0)
    tf.saved_model.save(module, str(folder))
    return folder


def checkpoint(prefix: Path) -> str:
    return str(tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(prefix)))


def test_a_saved_model_and_what_lies_beside_it(tmp_path: Path):
    model = saved_model(tmp_path / "model")
    assert find(f"{model}/").rows is None
    rows.write(MEANINGS, str(model / "assets.extra"))
    found = find(str(model))
    assert (found.path, found.rows) == (str(model), MEANINGS)
    assert found.prefix == str(model / "variables" / "variables")


def test_the_newest_of_numbered_versions(tmp_path: Path):
    for version in ("9", "10"):
        saved_model(tmp_path / version)
    (tmp_path / "11").mkdir()  # empty
    (tmp_path / ".pushing-12-1").mkdir()
    assert find(str(tmp_path)).path == str(tmp_path / "10")


def test_a_checkpoint_by_its_prefix_or_folder(tmp_path: Path):
    prefix = checkpoint(tmp_path / "some" / "ckpt")
    assert find(prefix).prefix == prefix
    assert find(str(tmp_path / "some")).prefix == prefix


def test_the_newest_checkpoint_of_a_manager(tmp_path: Path):
    kept = tf.train.CheckpointManager(tf.train.Checkpoint(v=tf.Variable(1.0)), str(tmp_path), 2)
    kept.save()
    newest = kept.save()
    assert find(str(tmp_path)).prefix == newest


def test_the_newest_step(tmp_path: Path):
    for step in ("step-000009", "step-000100"):
        checkpoint(tmp_path / step / "ckpt")
    (tmp_path / "step-000200").mkdir()  # not complete
    assert find(str(tmp_path)).prefix == str(tmp_path / "step-000100" / "ckpt")


def test_a_training_by_its_best_model_else_its_newest_checkpoint(tmp_path: Path):
    step = checkpoint(tmp_path / "checkpoints" / "step-000100" / "ckpt")
    rows.write(MEANINGS, str(tmp_path))
    assert find(str(tmp_path)).prefix == step
    best = checkpoint(tmp_path / "best" / "ckpt")
    for path in (tmp_path, tmp_path / "best", best):
        assert find(str(path)).prefix == best
        assert find(str(path)).rows == MEANINGS
    assert find(step).rows == MEANINGS


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prefix = checkpoint(tmp_path / "ckpt")
    rows.write(MEANINGS, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find("ckpt").rows == find(".").rows == MEANINGS
    assert find("ckpt").prefix == prefix


@pytest.mark.parametrize("path", ["nothing", "file", "empty"])
def test_no_model(tmp_path: Path, path: str):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    expected = f"training.warm_start: {tmp_path / path}: there is no model there. It takes blessed"
    with pytest.raises(ConfigError, match=expected):
        find(str(tmp_path / path))
