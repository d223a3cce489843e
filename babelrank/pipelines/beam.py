"""Which Beam runner does the work of a step, and the arguments that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from babelrank.components.config import option


@dataclass(frozen=True, kw_only=True)
class BeamConfig:
    """Where Beam runs."""

    runner: Literal["in_memory", "multi_processing"] = option(
        "in_memory", "in_memory: in the step's own process; multi_processing: in several."
    )
    workers: int = option(1, "Processes of multi_processing.")
    args: tuple[str, ...] = option((), "More arguments, passed to Beam as they are.")


def arguments(config: BeamConfig) -> list[str]:
    """The arguments of Beam."""
    return [
        # Beam's in-memory runner by its own name: `DirectRunner` first tries to download another.
        "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
        f"--direct_running_mode={config.runner}",
        f"--direct_num_workers={config.workers}",
        # No image is used; but where none is named, TFX packs itself up for each step.
        "--sdk_container_image=none",
        *config.args,
    ]
