"""Finds the weights of an earlier model: a SavedModel, a training or a checkpoint."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import tensorflow as tf

from babelrank.components.errors import ConfigError
from babelrank.components.training import rows

EXTRA = "assets.extra"
"""Where what belongs to a SavedModel, but not to TensorFlow, lies in its folder."""
_STEP = re.compile(r"step-(\d+)/?")
_PARTS = ("best", "checkpoints")
"""Folders of a training with weights, the better ones first."""
_NAME = "ckpt"


@dataclass(frozen=True)
class Predecessor:
    """A model to start from.

    Attributes:
        path: As a person would name it: the folder of the model, or the checkpoint.
        prefix: Of the files with the weights.
        rows: What the rows of its embedding tables stand for; None: unknown.
    """

    path: str
    prefix: str
    rows: list[rows.Rows] | None


def find(source: str) -> Predecessor:
    """Finds the model in a path.

    Args:
        source: Folder of a SavedModel, or of numbered versions (the newest counts); folder of a
            training (its best model, else its newest checkpoint), of checkpoints, or of one
            checkpoint; or a checkpoint's files up to `.index`.

    Raises:
        ConfigError: There is none.
        ModelError: What lies beside it is damaged.
    """
    path = source.rstrip("/") if "://" in source else os.path.abspath(source)
    model = _saved_model(path)
    if model is not None:
        return Predecessor(model, f"{model}/variables/variables", rows.read(f"{model}/{EXTRA}"))
    prefix = _checkpoint(path)
    if prefix is None:
        raise ConfigError(
            f"training.warm_start: {source}: there is no model there. It takes blessed, pushed, "
            f"the folder of a SavedModel or of its numbered versions, the folder of a training or "
            f"of its checkpoints, a checkpoint's files up to .index, or null."
        )
    return Predecessor(prefix, prefix, _rows_near(prefix))


def _saved_model(path: str) -> str | None:
    if tf.io.gfile.exists(f"{path}/saved_model.pb"):
        return path
    versions = [
        name for name in _folders(path) if name.isdecimal() and _saved_model(f"{path}/{name}")
    ]
    return f"{path}/{max(versions, key=int)}" if versions else None


def _checkpoint(path: str) -> str | None:
    """The files up to `.index` of the newest checkpoint in a path, or None."""
    if _complete(path):
        return path
    if not tf.io.gfile.isdir(path):
        return None
    newest: str | None = tf.train.latest_checkpoint(path)
    if newest is not None:
        return newest
    if _complete(f"{path}/{_NAME}"):
        return f"{path}/{_NAME}"
    steps = {int(m[1]): m[0] for m in map(_STEP.fullmatch, _folders(path)) if m}
    places = [steps[step].rstrip("/") for step in sorted(steps, reverse=True)]
    found = (_checkpoint(f"{path}/{place}") for place in (*places, *_PARTS))
    return next((prefix for prefix in found if prefix is not None), None)


def _complete(prefix: str) -> bool:
    return bool(tf.io.gfile.exists(f"{prefix}.index"))


def _folders(path: str) -> list[str]:
    """Names of the folders in a folder."""
    if not tf.io.gfile.isdir(path):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(path))
    return [name for name in names if tf.io.gfile.isdir(f"{path}/{name}")]


def _rows_near(prefix: str) -> list[rows.Rows] | None:
    """What the rows stand for, from the folder of a checkpoint or the two around it."""
    folder = prefix
    for _ in range(3):
        folder = folder.rpartition("/")[0]
        if not folder:
            return None
        found = rows.read(folder)
        if found is not None:
            return found
    return None
