"""What the process of a serving check is told, and how far it says it is; no TensorFlow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelrank.components.config import from_dict, to_dict
from babelrank.components.serving.config import ServingConfig

RESULT, ERROR, STAGE, LOG = "result", "error.txt", "stage.json", "log.txt"
"""In the folder of a job: the folder of the report, or what was wrong with what the job names; how
far it is; what the process printed."""
_FILE = "job.json"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One check.

    Attributes:
        model: Folder of the SavedModel.
        config: What the model must show.
        requests: Examples to ask: a TFRecord file of `tf.Example`s, or a file of JSON lines or
            sentences; None: some that are made up.
        reference: What the trainer's model answers; None: not compared.
        warmup: Where requests for TensorFlow Serving's warm-up are written; None: nowhere.
    """

    model: Path
    config: ServingConfig
    requests: Path | None = None
    reference: Path | None = None
    warmup: Path | None = None

    def save(self, folder: Path) -> None:
        """Writes it into the folder of the job."""
        paths = {n: None if v is None else str(v) for n, v in vars(self).items() if n != "config"}
        plain = {**paths, "config": to_dict(self.config)}
        (folder / _FILE).write_text(json.dumps(plain), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Job:
        """The inverse of `save`."""
        plain: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        config = from_dict(ServingConfig, plain.pop("config"), "serving")
        files = {n: None if v is None else Path(v) for n, v in plain.items() if n != "model"}
        return cls(model=Path(plain["model"]), config=config, **files)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a check is at, so that a process that dies or hangs can be explained.

    Attributes:
        doing: In words, with the signature.
        request: The request, readable.
    """

    doing: str = "starting"
    request: str = ""

    def save(self, folder: Path) -> None:
        """Says so."""
        (folder / STAGE).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Stage:
        """The last one; the first, where a process has come to say nothing."""
        try:
            return cls(**json.loads((folder / STAGE).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return cls()
