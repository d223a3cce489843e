"""What TFX's Trainer runs for the translation task."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from babelrank.components.config import from_dict
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.training import precision, warm_start
from babelrank.components.training import strategy as strategies
from babelrank.components.training.loop import fit
from babelrank.components.training.work import Work
from babelrank.components.training.workers import wait_for_all
from babelrank.components.translation import model, model_garden, signatures, subwords
from babelrank.components.translation.config import DataConfig
from babelrank.components.translation.model_config import (
    DecodingConfig,
    NetworkConfig,
    TranslationTrainingConfig,
)
from babelrank.components.translation.preprocessing import Tokenizer
from babelrank.components.translation.task import (
    SubwordDataConfig,
    TranslationConfig,
    TranslationTask,
)


def run_fn(fn_args: Any) -> None:
    """Trains a translation model on transformed examples and exports it.

    Args:
        fn_args: TFX's `FnArgs`. Its custom_config holds `data`, `model`, `decoding` and `training`
            as plain data, and `work_directory`, where an interrupted training is found again. Its
            base_model, if there is one, is where a warm start starts from.
    """
    custom = fn_args.custom_config
    data = from_dict(DataConfig, custom["data"], "data")
    training = from_dict(TranslationTrainingConfig, custom["training"], "training")
    placement = strategies.create(training.strategy)
    work = Work(fn_args)
    config = _task_config(fn_args, data, training, work.path)
    task = TranslationTask(config, logging_dir=fn_args.model_run_dir)
    train, evaluation = task.batches(config.train_data), task.batches(config.validation_data)
    task.use_references(evaluation)
    result = fit(task, training, train, evaluation, work.path, placement.strategy)
    if placement.chief:
        signatures.save(_serving(config, result.model), fn_args.serving_model_dir, data)
        warm_start.describe(task.rows(result.model), fn_args.serving_model_dir)
        work.finish(
            {
                "warm_start": warm_start.recorded(work.path),
                "strategy": placement.why,
                "precision": precision.resolve(training.precision),
                "padding_fraction": train.padding_fraction(),
                "too_long": train.too_long,
                **result.figures(),
            }
        )
    wait_for_all(placement.strategy)


def _task_config(
    fn_args: Any, data: DataConfig, training: TranslationTrainingConfig, work: Path
) -> TranslationConfig:
    custom = fn_args.custom_config
    decoding = from_dict(DecodingConfig, custom["decoding"], "decoding")
    source, target = subwords.model_paths(fn_args.transform_output)
    train = SubwordDataConfig(
        path=fn_args.train_files,
        store=str(work / TRAIN),
        tokens_per_batch=training.tokens_per_batch,
        max_length=training.max_length,
        seed=training.seed,
        poisson_batch_size=training.privacy.batch_size if training.privacy else None,
    )
    return TranslationConfig(
        model=from_dict(NetworkConfig, custom["model"], "model").resolved(decoding),
        train_data=train,
        validation_data=dataclasses.replace(
            train,
            path=fn_args.eval_files,
            store=str(work / EVAL),
            is_training=False,
            tgt_lang=data.target.language,
        ),
        sentencepiece_model_path=source,
        target_sentencepiece_model_path="" if subwords.same(source, target) else target,
        validation_beam_size=1,
        warm_start=warm_start.requested(fn_args, training.warm_start, work, model_garden.adapted),
    )


def _serving(config: TranslationConfig, trained: model.Transformer) -> signatures.ServingModel:
    """The model as it is served: in float32, which every machine is fast in."""
    # Tokenizers of its own: setting the seed of the training has unmade those of the task.
    source = Tokenizer(subwords.read(config.sentencepiece_model_path))
    own = config.target_sentencepiece_model_path
    target = Tokenizer(subwords.read(own)) if own else source
    served = model.build_transformer(
        trained.config,
        source.vocab_size,
        target.vocab_size,
        shared=not own,
        eos_id=target.eos_id,
        precision="float32",
    )
    served.set_weights(trained.get_weights())
    return signatures.ServingModel(served, source, target)
