"""The folder in which a TFX training works, and is found again after an interruption."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

_KEPT = ("history.json", "tensorboard")
_ANY = (
    "strategy",
    "workers",
    "parameter_servers",
    "checkpoint_interval",
    "steps_per_execution",
    "tensorboard",
)
"""Keys of the training that may change between an interruption and its end."""


class Work:
    """A folder named by the inputs and the configuration of a training.

    Args:
        fn_args: TFX's `FnArgs`; its custom_config has the `work_directory` of all trainings.

    Attributes:
        path: The folder; `fit` makes it.
    """

    def __init__(self, fn_args: Any) -> None:
        training = fn_args.custom_config.get("training", {})
        kept = {key: value for key, value in training.items() if key not in _ANY}
        custom = {**fn_args.custom_config, "training": kept}
        parts = [custom, fn_args.train_files, fn_args.transform_output]
        name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        self.path = Path(fn_args.custom_config["work_directory"]) / name
        self._run = Path(fn_args.model_run_dir)

    def finish(self, figures: dict[str, Any] | None = None) -> None:
        """Moves what is worth keeping to the `model_run` artifact, and removes the folder.

        Args:
            figures: What else the report should know, for `training.json` there.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        for name in _KEPT:
            if (self.path / name).exists():
                shutil.move(self.path / name, self._run / name)
        if figures is not None:
            text = json.dumps(figures, indent=1)
            (self._run / "training.json").write_text(text, encoding="utf-8")
        shutil.rmtree(self.path)
