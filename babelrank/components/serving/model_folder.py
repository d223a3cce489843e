"""The folder of an exported model: its newest version, and the description that lies beside it.

A SavedModel's signature knows names and types; what they mean stands in a JSON file in
`assets.extra`, one kind for models that take rows and one for models that take lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from babelrank.components.errors import ModelError

ROWS = "assets.extra/babelrank_rows.json"
LINES = "assets.extra/babelrank_lines.json"


def newest(path: Path) -> Path:
    """The SavedModel in a folder, or the newest of the numbered versions in it.

    Raises:
        ModelError: There is neither.
    """
    if (path / "saved_model.pb").exists():
        return path
    versions = [p for p in path.glob("*") if p.name.isdecimal() and p.is_dir()]
    if not versions:
        raise ModelError(
            f"{path}: no model here. Give the folder of a pushed version, or the folder that "
            "holds the versions (`serving` in the output folder of a run)."
        )
    return max(versions, key=lambda version: int(version.name))


def task_of(model: Path) -> str:
    """The task of the model in a SavedModel's folder: `ranking` or `translation`.

    Raises:
        ModelError: BabelRank did not export the model.
    """
    task: str = read(model, LINES if (model / LINES).exists() else ROWS)["task"]
    return task


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
        description: dict[str, Any] = json.loads((model / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{model}: no model that BabelRank exported ({error}). Give the folder of a "
            "pushed version, or the folder that holds the versions."
        ) from error
    return description


def load(model: Path) -> Any:
    """The loaded SavedModel; its signatures do not keep it alive.

    Raises:
        ModelError: It cannot be loaded.
    """
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(model))
    except (OSError, ValueError) as error:
        raise ModelError(f"{model}: cannot load the model: {error}") from error
