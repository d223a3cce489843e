"""What TFX's Trainer runs for the translation task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelrank.components.config import from_dict
from babelrank.components.ingest.config import EVAL, TRAIN
from babelrank.components.serving.reference import FILE
from babelrank.components.training import precision, progress, warm_start
from babelrank.components.training import strategy as strategies
from babelrank.components.training.inputs import BatchSource
from babelrank.components.training.loop import fit
from babelrank.components.training.work import Work
from babelrank.components.training.workers import wait_for_all
from babelrank.components.translation import model, model_garden, reference, signatures, subwords
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


@dataclass(frozen=True)
class Prepared:
    """A training on what Transform left.

    Attributes:
        task: The task.
        train: Training batches.
        evaluation: Batches of the eval split.
        too_long: Pairs that are too long to train on.
    """

    task: TranslationTask
    train: BatchSource
    evaluation: BatchSource
    too_long: int


def prepare(
    settings: Mapping[str, Any],
    transform_output: str,
    files: Mapping[str, Any],
    stores: Path,
    start: warm_start.Request | None = None,
    logging_dir: str | None = None,
    beam: bool = False,
) -> Prepared:
    """Makes the task and its batches.

    Args:
        settings: `data`, `model`, `decoding` and `training` as plain data.
        transform_output: URI of Transform's output.
        files: Globs of the transformed examples, by split.
        stores: Folder for the examples as columns, by split.
        start: What to start from; None: from scratch.
        logging_dir: Where the task may write.
        beam: Evaluate with the beam search of `decoding` and not with the faster greedy one.

    Raises:
        ConfigError: Values that do not fit each other or the data.
        InputError: There are no examples.
    """
    data = from_dict(DataConfig, settings["data"], "data")
    training = from_dict(TranslationTrainingConfig, settings["training"], "training")
    decoding = from_dict(DecodingConfig, settings["decoding"], "decoding")
    source, target = subwords.model_paths(transform_output)
    on_tpu = training.strategy.name == "tpu"
    train = SubwordDataConfig(
        path=files[TRAIN],
        store=str(stores / TRAIN),
        tokens_per_batch=training.tokens_per_batch,
        max_length=training.max_length,
        seed=training.seed,
        static=training.xla or on_tpu,
        poisson_batch_size=training.privacy.batch_size if training.privacy else None,
    )
    evaluation = dataclasses.replace(
        train,
        path=files[EVAL],
        store=str(stores / EVAL),
        is_training=False,
        static=on_tpu,
        tgt_lang=data.target.language,
    )
    config = TranslationConfig(
        model=from_dict(NetworkConfig, settings["model"], "model").resolved(decoding),
        train_data=train,
        validation_data=evaluation,
        sentencepiece_model_path=source,
        target_sentencepiece_model_path="" if subwords.same(source, target) else target,
        validation_beam_size=None if beam else 1,
        warm_start=start,
    )
    task = TranslationTask(config, logging_dir=logging_dir)
    batches, judged = task.batches(train), task.batches(evaluation)
    task.use_references(judged)
    return Prepared(task, batches, judged, batches.too_long)


def run_fn(fn_args: Any) -> None:
    """Trains a translation model on transformed examples and exports it.

    Args:
        fn_args: TFX's `FnArgs`. Its custom_config holds the `settings` of `prepare`, and
            `work_directory`, where an interrupted training is found again. Its base_model, if
            there is one, is where a warm start starts from.
    """
    custom = fn_args.custom_config
    training = from_dict(TranslationTrainingConfig, custom["training"], "training")
    placement = strategies.create(training.strategy)
    display = progress.default()
    display.note(f"training: {placement.why}")
    work = Work(fn_args)
    made = prepare(
        custom,
        fn_args.transform_output,
        {TRAIN: fn_args.train_files, EVAL: fn_args.eval_files},
        work.path,
        warm_start.requested(fn_args, training.warm_start, work.path, model_garden.adapted),
        fn_args.model_run_dir,
    )
    result = fit(
        made.task, training, made.train, made.evaluation, work.path, placement.strategy, display
    )
    if placement.chief:
        served = _serving(made.task.task_config, result.model)
        data = from_dict(DataConfig, custom["data"], "data")
        signatures.save(served, fn_args.serving_model_dir, data)
        warm_start.describe(made.task.rows(result.model), fn_args.serving_model_dir)
        kept = reference.reference(served, made.evaluation)
        kept.save(Path(fn_args.model_run_dir) / FILE)
        work.finish(
            {
                "warm_start": warm_start.recorded(work.path),
                "strategy": placement.why,
                "precision": precision.resolve(training.precision),
                "padding_fraction": made.train.padding_fraction(),
                "too_long": made.too_long,
                **result.figures(),
            }
        )
    wait_for_all(placement.strategy)


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
