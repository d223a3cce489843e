"""What TFX's Trainer runs for the ranking task."""

from __future__ import annotations

from typing import Any

import tensorflow_transform as tft

from babelrank.components.config import from_dict
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.ranking import meanings, signatures
from babelrank.components.ranking.config import ModelConfig, RankingTrainingConfig
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.task import RankingInputConfig, RankingTask, RankingTaskConfig
from babelrank.components.training import strategy as strategies
from babelrank.components.training import warm_start
from babelrank.components.training.loop import fit
from babelrank.components.training.store import ColumnStore
from babelrank.components.training.work import Work
from babelrank.components.training.workers import wait_for_all

EVAL_BATCH = 4096


def run_fn(fn_args: Any) -> None:
    """Trains a ranking model on transformed examples and exports it.

    Args:
        fn_args: TFX's `FnArgs`. Its custom_config holds `data`, `transform`, `model` and
            `training` as plain data, and `work_directory`, where an interrupted training is
            found again. Its base_model, if there is one, is where a warm start starts from.
    """
    custom = fn_args.custom_config
    columns = Columns.from_custom_config(custom)
    training = from_dict(RankingTrainingConfig, custom["training"], "training")
    placement = strategies.create(training.strategy)
    transform = tft.TFTransformOutput(fn_args.transform_output)
    features = model_features(columns, transform.vocabulary_size_by_name)
    work = Work(fn_args)
    config = RankingTaskConfig(
        features=features,
        model=from_dict(ModelConfig, custom["model"], "model"),
        objective=columns.data.objective,
        training=training,
        weighted=columns.has_weight,
        warm_start=warm_start.requested(
            fn_args, training.warm_start, work.path, remarks=meanings.remarks(columns)
        ),
        meanings=meanings.of_features(columns, features, transform.vocabulary_by_name),
    )
    task = RankingTask(config, logging_dir=fn_args.model_run_dir)
    stores = {
        name: ColumnStore.build(files, task.columns(), work.path / name)
        for name, files in ((TRAIN, fn_args.train_files), (EVAL, fn_args.eval_files))
    }
    size = training.batch_size_for(stores[TRAIN].rows)
    private = training.privacy
    train = RankingInputConfig(
        path=str(work.path / TRAIN),
        batch_size=private.batch_size if private else size,
        seed=training.seed,
        poisson=private is not None,
    )
    evaluation = RankingInputConfig(
        path=str(work.path / EVAL), batch_size=max(size, EVAL_BATCH), is_training=False
    )
    result = fit(
        task,
        training,
        task.batches(train),
        task.batches(evaluation),
        work.path,
        placement.strategy,
    )
    if placement.chief:
        model = task.build_model()  # in float32 and on one device, whatever it was trained in
        model.set_weights(result.model.get_weights())
        serving = signatures.ServingModel(model, transform, columns, features)
        signatures.save(serving, fn_args.serving_model_dir)
        warm_start.describe(task.rows(model), fn_args.serving_model_dir)
        recorded = {"warm_start": warm_start.recorded(work.path), "strategy": placement.why}
        work.finish({**recorded, **result.figures()})
    wait_for_all(placement.strategy)
