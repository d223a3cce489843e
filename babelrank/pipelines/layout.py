"""Where things are in the output folder of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The output folder.

    Attributes:
        out: The folder.
    """

    out: Path

    @property
    def artifacts(self) -> Path:
        """Outputs of the steps, by step and execution."""
        return self.out / "artifacts"

    @property
    def metadata(self) -> Path:
        """ML Metadata's database, unless the environment names another; see `database`."""
        return self.out / "metadata.sqlite"

    @property
    def training(self) -> Path:
        """Checkpoints of unfinished trainings."""
        return self.out / "training"

    @property
    def serving(self) -> Path:
        """Pushed models, one numbered folder each, unless `push.directory` says otherwise."""
        return self.out / "serving"

    @property
    def runs(self) -> Path:
        """One folder for each run: report, run.json, configuration."""
        return self.out / "runs"
