"""What every pipeline shares: the layout of its output folder, and its compiled form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.compiler import compiler
from tfx.proto.orchestration import pipeline_pb2

NEVER_CACHED = ("Pusher",)
"""Nodes that always run: a push is idempotent, and what it wrote may have been deleted."""


@dataclass(frozen=True)
class Layout:
    """Where things are in an output folder.

    Attributes:
        out: The output folder.
    """

    out: Path

    @property
    def artifacts(self) -> Path:
        """Outputs of the steps, by step and execution."""
        return self.out / "artifacts"

    @property
    def metadata(self) -> Path:
        """ML Metadata's database."""
        return self.out / "metadata.sqlite"

    @property
    def training(self) -> Path:
        """Checkpoints of unfinished trainings."""
        return self.out / "training"

    @property
    def serving(self) -> Path:
        """Pushed models, one numbered folder each."""
        return self.out / "serving"

    @property
    def runs(self) -> Path:
        """One folder for each run: report, run.json, configuration, log."""
        return self.out / "runs"


def compiled(pipeline: tfx.dsl.Pipeline) -> pipeline_pb2.Pipeline:
    """TFX's intermediate representation of a pipeline."""
    ir: pipeline_pb2.Pipeline = compiler.Compiler().compile(pipeline)
    for node in ir.nodes:
        if node.pipeline_node.node_info.id in NEVER_CACHED:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
    return ir


def dotted(function: Callable[..., Any]) -> str:
    """The path by which TFX imports a function in another process."""
    return f"{function.__module__}.{function.__qualname__}"
