"""What TFX's Trainer runs for the ranking task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_transform as tft

from babelrank.components.config import from_dict
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.ranking import meanings, reference, signatures
from babelrank.components.ranking.config import ModelConfig, RankingTrainingConfig
from babelrank.components.ranking.features import Features
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.serving.reference import FILE
from babelrank.components.training import precision, progress, warm_start
from babelrank.components.training import strategy as strategies
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.loop import fit
from babelrank.components.training.store import ColumnStore
from babelrank.components.training.work import Work
from babelrank.components.training.workers import wait_for_all

_EVAL_BATCH = 4096


@dataclass(frozen=True)
class Prepared:
    """A training on what Transform left.

    Attributes:
        task: The task.
        train: Training batches.
        evaluation: Batches of the eval split.
        columns: What is done with which column.
        features: The inputs of the model.
        transform: Transform's output.
    """

    task: RankingTask
    train: BatchSource
    evaluation: BatchSource
    columns: Columns
    features: Features
    transform: tft.TFTransformOutput


def prepare(
    settings: Mapping[str, Any],
    transform_output: str,
    files: Mapping[str, Any],
    stores: Path,
    start: warm_start.Request | None = None,
    logging_dir: str | None = None,
) -> Prepared:
    """Makes the task and its batches.

    Args:
        settings: `data`, `transform`, `model` and `training` as plain data.
        transform_output: URI of Transform's output.
        files: Globs of the transformed examples, by split.
        stores: Folder for the examples as columns, by split.
        start: What to start from; None: from scratch.
        logging_dir: Where the task may write.

    Raises:
        ConfigError: Values that do not fit each other or the data.
        InputError: There are no examples.
    """
    columns = Columns.from_custom_config(settings)
    training = from_dict(RankingTrainingConfig, settings["training"], "training")
    transform = tft.TFTransformOutput(transform_output)
    features = model_features(columns, transform.vocabulary_size_by_name)
    config = RankingTaskConfig(
        features=features,
        model=from_dict(ModelConfig, settings["model"], "model"),
        objective=columns.data.objective,
        training=training,
        weighted=columns.has_weight,
        warm_start=start,
        meanings=meanings.of_features(columns, features, transform.vocabulary_by_name),
    )
    task = RankingTask(config, logging_dir=logging_dir)
    built = {
        split: ColumnStore.build(files[split], task.columns(), stores / split)
        for split in (TRAIN, EVAL)
    }
    on_tpu = training.strategy.name == "tpu"
    size, private = training.batch_size_for(built[TRAIN].rows), training.privacy
    train = RankingInputConfig(
        path=str(stores / TRAIN),
        batch_size=private.batch_size if private else size,
        seed=training.seed,
        static=training.xla or on_tpu,
        poisson=private is not None,
    )
    evaluation = RankingInputConfig(
        path=str(stores / EVAL),
        batch_size=max(size, _EVAL_BATCH),
        is_training=False,
        static=on_tpu,
    )
    return Prepared(
        task, task.batches(train), task.batches(evaluation), columns, features, transform
    )


def run_fn(fn_args: Any) -> None:
    """Trains a ranking model on transformed examples and exports it.

    Args:
        fn_args: TFX's `FnArgs`. Its custom_config holds the `settings` of `prepare`, and
            `work_directory`, where an interrupted training is found again. Its base_model, if
            there is one, is where a warm start starts from.
    """
    custom = fn_args.custom_config
    training = from_dict(RankingTrainingConfig, custom["training"], "training")
    placement = strategies.create(training.strategy)
    display = progress.default()
    display.note(f"training: {placement.why}")
    work = Work(fn_args)
    remarks = meanings.remarks(Columns.from_custom_config(custom))
    made = prepare(
        custom,
        fn_args.transform_output,
        {TRAIN: fn_args.train_files, EVAL: fn_args.eval_files},
        work.path,
        warm_start.requested(fn_args, training.warm_start, work.path, remarks=remarks),
        fn_args.model_run_dir,
    )
    result = fit(
        made.task, training, made.train, made.evaluation, work.path, placement.strategy, display
    )
    if placement.chief:
        model = made.task.build_model()  # in float32 and on one device, however it was trained
        model.set_weights(result.model.get_weights())
        serving = signatures.ServingModel(model, made.transform, made.columns, made.features)
        signatures.save(serving, fn_args.serving_model_dir)
        warm_start.describe(made.task.rows(model), fn_args.serving_model_dir)
        kept = reference.reference(model, serving, made.columns, made.evaluation)
        kept.save(Path(fn_args.model_run_dir) / FILE)
        work.finish(
            {
                "warm_start": warm_start.recorded(work.path),
                "strategy": placement.why,
                "precision": precision.resolve(training.precision),
                **result.figures(),
            }
        )
    wait_for_all(placement.strategy)
