"""What TFX's Trainer runs for the ranking task."""

from __future__ import annotations

from typing import Any

import tensorflow_transform as tft

from babelrank.components.config import from_dict
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.ranking import signatures
from babelrank.components.ranking.config import ModelConfig, RankingTrainingConfig
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.training.loop import fit
from babelrank.components.training.store import ColumnStore
from babelrank.components.training.work import Work

EVAL_BATCH = 4096


def run_fn(fn_args: Any) -> None:
    """Trains a ranking model on transformed examples and exports it.

    Args:
        fn_args: TFX's `FnArgs`. Its custom_config holds `data`, `transform`, `model` and
            `training` as plain data, and `work_directory`, where an interrupted training is
            found again.
    """
    custom = fn_args.custom_config
    columns = Columns.from_custom_config(custom)
    training = from_dict(RankingTrainingConfig, custom["training"], "training")
    transform = tft.TFTransformOutput(fn_args.transform_output)
    features = model_features(columns, transform.vocabulary_size_by_name)
    config = RankingTaskConfig(
        features=features,
        model=from_dict(ModelConfig, custom["model"], "model"),
        objective=columns.data.objective,
        training=training,
        weighted=columns.has_weight,
    )
    task = RankingTask(config, logging_dir=fn_args.model_run_dir)
    work = Work(fn_args)
    stores = {
        name: ColumnStore.build(files, task.columns(), work.path / name)
        for name, files in ((TRAIN, fn_args.train_files), (EVAL, fn_args.eval_files))
    }
    batch_size = training.batch_size_for(stores[TRAIN].rows)
    train, evaluation = (
        task.batches(
            RankingInputConfig(
                path=str(work.path / name),
                batch_size=batch_size if name == TRAIN else max(batch_size, EVAL_BATCH),
                is_training=name == TRAIN,
                seed=training.seed,
            )
        )
        for name in stores
    )
    result = fit(task, training, train, evaluation, work.path)
    serving = signatures.ServingModel(result.model, transform, columns, features)
    signatures.save(serving, fn_args.serving_model_dir)
    work.finish()
