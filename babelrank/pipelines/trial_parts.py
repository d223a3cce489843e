"""What a trial trains: a task and its batches, from a configuration and Transform's outputs.

The same as `run_fn` of either task makes them, without the export.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.task import Task
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig


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
    if isinstance(config, RankingConfig):
        return _ranking(config, examples, stores)
    return _translation(config, examples, stores, beam)


def modes(config: PipelineConfig) -> dict[str, str]:
    """The metrics by which trials can be compared: "max" if more is better, or "min"."""
    if isinstance(config, RankingConfig):
        from babelrank.components.ranking import metrics

        two = np.array([0.0, 1.0])
        measured = [Task.loss, *metrics.exact(config.data.objective, two, two)]
        return {name: metrics.MODES[name] for name in measured if name in metrics.MODES}
    from babelrank.components.translation.metrics import MODES

    return dict(MODES)


def _ranking(config: RankingConfig, examples: Examples, stores: Path) -> Parts:
    import tensorflow_transform as tft

    from babelrank.components.ranking.preprocessing import Columns, model_features
    from babelrank.components.ranking.task import (
        RankingInputConfig,
        RankingTask,
        RankingTaskConfig,
    )
    from babelrank.components.ranking.trainer import EVAL_BATCH
    from babelrank.components.training.store import ColumnStore

    columns, training = Columns(config.data, config.transform), config.training
    transform = tft.TFTransformOutput(examples.transform_graph)
    task = RankingTask(
        RankingTaskConfig(
            features=model_features(columns, transform.vocabulary_size_by_name),
            model=config.model,
            objective=config.data.objective,
            training=training,
            weighted=columns.has_weight,
        )
    )
    rows = ColumnStore.build(examples.files(TRAIN), task.columns(), stores / TRAIN).rows
    batch_size = training.batch_size_for(rows)
    sizes = {TRAIN: batch_size, EVAL: max(batch_size, EVAL_BATCH)}
    train, evaluation = (
        task.batches(
            RankingInputConfig(
                path=examples.files(split),
                store=str(stores / split),
                batch_size=size,
                is_training=split == TRAIN,
                seed=training.seed,
            )
        )
        for split, size in sizes.items()
    )
    return Parts(task, train, evaluation)


def _translation(config: TranslationConfig, examples: Examples, stores: Path, beam: bool) -> Parts:
    from babelrank.components.training import precision
    from babelrank.components.translation import subwords
    from babelrank.components.translation.task import SubwordDataConfig, TranslationTask
    from babelrank.components.translation.task import TranslationConfig as TaskConfig

    training, target_language = config.training, config.data.target.language
    source, target = subwords.model_paths(examples.transform_graph)
    train_data, validation_data = (
        SubwordDataConfig(
            path=examples.files(split),
            store=str(stores / split),
            tokens_per_batch=training.tokens_per_batch,
            max_length=training.max_length,
            is_training=split == TRAIN,
            seed=training.seed,
            tgt_lang="" if split == TRAIN else target_language,
        )
        for split in (TRAIN, EVAL)
    )
    task = TranslationTask(
        TaskConfig(
            model=config.model.resolved(config.decoding),
            train_data=train_data,
            validation_data=validation_data,
            sentencepiece_model_path=source,
            target_sentencepiece_model_path="" if subwords.same(source, target) else target,
            precision=precision.resolve(training.precision),
            validation_beam_size=None if beam else 1,
        )
    )
    train, evaluation = task.batches(train_data), task.batches(validation_data)
    task.use_references(evaluation)
    return Parts(task, train, evaluation)
