"""What a trial trains: a task and its batches, from a configuration and Transform's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babelrank.components.config import to_dict
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.task import Task
from babelrank.pipelines.config import PipelineConfig, RankingConfig


@dataclass(frozen=True)
class Examples:
    """What Transform left.

    Attributes:
        transform_graph: URI of the transform graph.
        transformed: URI of the transformed examples.
    """

    transform_graph: str
    transformed: str

    def files(self, split: str) -> str:
        """Glob of the files of a split."""
        return f"{self.transformed}/Split-{split}/*"


@dataclass(frozen=True)
class Parts:
    """What `fit` takes.

    Attributes:
        task: The task.
        train: Training batches.
        evaluation: Batches of the eval split.
    """

    task: Task
    train: BatchSource
    evaluation: BatchSource


def parts(config: PipelineConfig, examples: Examples, stores: Path, beam: bool) -> Parts:
    """Makes the task and the batches of a trial.

    Args:
        config: The configuration of the trial.
        examples: What Transform left.
        stores: Folder for the examples as columns, which all trials share.
        beam: Translation: evaluate with the beam search of `decoding` and not with the greedy
            search that training uses for its speed.

    Raises:
        ConfigError: Values that do not fit each other or the data.
        InputError: There are no examples.
    """
    files = {split: examples.files(split) for split in (TRAIN, EVAL)}
    if isinstance(config, RankingConfig):
        from babelrank.components.ranking import trainer as ranking
        from babelrank.components.ranking.preprocessing import Columns

        settings = Columns(config.data, config.transform).to_custom_config()
        settings |= {name: to_dict(getattr(config, name)) for name in ("model", "training")}
        made: Any = ranking.prepare(settings, examples.transform_graph, files, stores)
    else:
        from babelrank.components.translation import trainer as translation

        names = ("data", "model", "decoding", "training")
        settings = {name: to_dict(getattr(config, name)) for name in names}
        made = translation.prepare(settings, examples.transform_graph, files, stores, beam=beam)
    return Parts(made.task, made.train, made.evaluation)


def modes(config: PipelineConfig) -> dict[str, str]:
    """The metrics by which trials can be compared: "max" if more is better, or "min"."""
    if isinstance(config, RankingConfig):
        from babelrank.components.ranking import metrics

        two = np.array([0.0, 1.0])
        measured = [Task.loss, *metrics.exact(config.data.objective, two, two)]
        return {name: metrics.MODES[name] for name in measured if name in metrics.MODES}
    from babelrank.components.translation.metrics import MODES

    return dict(MODES)
