"""The folder of an exported model: its newest version, and the description that lies beside it.

A SavedModel's signature knows names and types; what they mean stands in a JSON file in
`assets.extra`, one kind for models that take rows and one for models that take lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from babelrank.components.errors import ModelError

ROWS = "assets.extra/babelrank_rows.json"
LINES = "assets.extra/babelrank_lines.json"
TASKS = ("ranking", "translation")


def newest(path: Path) -> Path:
    """The SavedModel in a folder, or the newest of the numbered versions in it.

    Raises:
        ModelError: There is neither.
    """
    if (path / "saved_model.pb").exists():
        return path
    versions = [p for p in path.glob("*") if is_version(p)]
    if not versions:
        raise ModelError(
            f"{path}: no model here. Give the folder of a pushed version, or the folder that "
            "holds the versions (`serving` in the output folder of a run)."
        )
    return max(versions, key=lambda version: int(version.name))


def is_version(path: Path) -> bool:
    """Whether a folder is a version, by its name: a whole number of 64 bits, as servers take it."""
    name = path.name
    return name.isascii() and name.isdecimal() and int(name) < 1 << 63 and path.is_dir()


def task_of(model: Path) -> str:
    """The task of the model in a SavedModel's folder: `ranking` or `translation`.

    Raises:
        ModelError: BabelRank did not export the model.
    """
    file = LINES if (model / LINES).exists() else ROWS
    task = read(model, file).get("task")
    if task not in TASKS:
        raise ModelError(f"{model}: {file}: task: got {task!r:.60}; takes {' or '.join(TASKS)}.")
    return str(task)


def write(model: Path, file: str, description: dict[str, Any]) -> None:
    """Writes a description beside a SavedModel."""
    path = model / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(description, indent=1), encoding="utf-8")


def read(model: Path, file: str) -> dict[str, Any]:
    """A description beside a SavedModel.

    Raises:
        ModelError: There is none.
    """
    try:
        description = json.loads((model / file).read_text(encoding="utf-8"))
        if not isinstance(description, dict):
            raise ValueError(f"{file} holds no mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{model}: no model that BabelRank exported ({error}). Give the folder of a "
            "pushed version, or the folder that holds the versions."
        ) from error
    return description


@contextmanager
def described(model: Path, file: str) -> Iterator[None]:
    """Names the file when what it says cannot be made into a description.

    Raises:
        ModelError: A key is missing, unknown, or of the wrong kind.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{model / file}: {error!r:.200}. Push the model again; was it altered, or made by a "
            "newer BabelRank?"
        ) from error


def load(model: Path) -> Any:
    """The loaded SavedModel; its signatures do not keep it alive.

    Raises:
        ModelError: It cannot be loaded.
    """
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(model))
    except Exception as error:  # of an altered model, TensorFlow raises whatever it stumbles over
        raise ModelError(f"{model}: cannot load the model: {error!r:.500}") from error
