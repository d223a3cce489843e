"""The folder of a TFX training."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from babelrank.components.training.work import Work


def arguments(folder: Path, **changes: Any) -> SimpleNamespace:
    fields = {
        "custom_config": {"work_directory": str(folder / "work"), "model": {"width": 8}},
        "train_files": ["a"],
        "transform_output": "t",
        "model_run_dir": str(folder / "run"),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_the_same_training_finds_its_folder_and_another_one_does_not(tmp_path: Path) -> None:
    path = Work(arguments(tmp_path)).path
    assert Work(arguments(tmp_path)).path == path
    assert Work(arguments(tmp_path, train_files=["b"])).path != path
    assert path.parent == tmp_path / "work"


def test_finish_keeps_the_history_and_removes_the_rest(tmp_path: Path) -> None:
    work = Work(arguments(tmp_path))
    (work.path / "tensorboard").mkdir(parents=True)
    (work.path / "history.json").write_text("[]")
    (work.path / "checkpoint").write_text("large")
    work.finish({"padding_fraction": 0.1})
    run = tmp_path / "run"
    assert sorted(path.name for path in run.iterdir()) == [
        "history.json",
        "tensorboard",
        "training.json",
    ]
    assert json.loads((run / "training.json").read_text()) == {"padding_fraction": 0.1}
    assert not work.path.exists()


def test_where_and_how_often_may_change(tmp_path: Path) -> None:
    """Devices and checkpoints may be others after an interruption; what is trained may not."""

    def path(**training: Any) -> Path:
        custom = {"work_directory": str(tmp_path), "training": {"seed": 1, **training}}
        return Work(arguments(tmp_path, custom_config=custom)).path

    same = path(strategy={"name": "one_device"}, checkpoint_interval=10)
    assert path(strategy={"name": "mirrored"}, checkpoint_interval=99) == same
    assert path(seed=2) != same
