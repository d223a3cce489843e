"""What a translation task is configured with, by the Model Garden's names and defaults.

Objects of the Model Garden's own classes are taken in place of these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from babelrank.components.training.warm_start import Request
from babelrank.components.translation.model_config import ModelConfig


@dataclass(frozen=True)
class WMTDataConfig:
    """Raw sentence pairs in TFRecord files of `tf.Example`s.

    Attributes:
        input_path: Files or globs, a list of them or several joined by commas.
        tfds_name: Not taken: data come from files. Must be empty.
        tfds_split: Goes with it.
        global_batch_size: Subwords of a batch over all replicas (the longer side, padding
            included); sentences with a static batch that is not for training.
        is_training: Shuffle, repeat without end, leave over-long pairs out; otherwise one pass,
            over-long sentences cut.
        drop_remainder: Unused, as in the Model Garden: static batches drop it, others do not.
        shuffle_buffer_size: Examples to shuffle among.
        cache: Keep parsed examples in memory.
        cycle_length: Files read at once; None: all.
        block_length: Examples from one file before the next has its turn.
        deterministic: None: only when there is a seed.
        sharding: Divide the training files over the input pipelines.
        seed: Seed of the order.
        max_seq_length: Longest side in subwords, the end id included.
        static_batch: Pad everything to `max_seq_length`.
        sentencepiece_model_path: Set by the task.
        src_lang: Name of the feature with the source.
        tgt_lang: Name of the feature with the target; also the language that BLEU is for.
        transform_and_batch: False: single examples with raw text.
        has_unique_id: The examples have an int64 `unique_id`.
    """

    input_path: str | Sequence[str] = ""
    tfds_name: str = ""
    tfds_split: str = ""
    global_batch_size: int = 0
    is_training: bool = False
    drop_remainder: bool = True
    shuffle_buffer_size: int = 100
    cache: bool = False
    cycle_length: int | None = None
    block_length: int = 1
    deterministic: bool | None = None
    sharding: bool = True
    seed: int | None = None
    max_seq_length: int = 64
    static_batch: bool = False
    sentencepiece_model_path: str = ""
    src_lang: str = ""
    tgt_lang: str = ""
    transform_and_batch: bool = True
    has_unique_id: bool = False


@dataclass(frozen=True)
class SubwordDataConfig:
    """Pairs of subword ids, as Transform wrote them.

    Attributes:
        path: Globs of TFRecord files of transformed examples, or a directory with a column store.
        store: Directory for the column store of `path`; None if `path` is a store.
        tokens_per_batch: Subwords of a batch over all replicas: the longer side, padding included.
        max_length: Longest side in subwords; training leaves longer pairs out. None: any.
        is_training: Shuffle and repeat without end; otherwise one pass.
        seed: Seed of the order.
        tgt_lang: Language that BLEU is for.
        static: All batches have one shape, of `tokens_per_batch // max_length` sentences, for
            devices that compile each shape; where sentences are missing, their id is -1.
        poisson_batch_size: Expected sentences of a batch in which each is drawn by itself, as
            private training has to; None: batches of about equally many subwords.
    """

    path: str | Sequence[str] = ""
    store: str | None = None
    tokens_per_batch: int = 4096
    max_length: int | None = 128
    is_training: bool = True
    seed: int = 42
    tgt_lang: str = ""
    static: bool = False
    poisson_batch_size: int | None = None


@dataclass(frozen=True)
class TranslationConfig:
    """What a translation task trains.

    Attributes:
        model: The network.
        train_data: Where training batches come from, `WMTDataConfig` or `SubwordDataConfig`.
        validation_data: Where validation batches come from.
        sentencepiece_model_path: SentencePiece model of both sides, or of the source.
        print_translations: Log each translation of a validation.
        init_checkpoint: Checkpoint whose weights a new training starts from, or empty.
        target_sentencepiece_model_path: Model of the target, if it has one of its own (ours).
        precision: float32, bfloat16 or float16; None: Keras's global policy (ours).
        validation_beam_size: Hypotheses in validation; None: the model's (ours).
        warm_start: Earlier model, maybe of other subwords, to start from; or None (ours).
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train_data: Any = dataclasses.field(default_factory=WMTDataConfig)
    validation_data: Any = dataclasses.field(default_factory=WMTDataConfig)
    sentencepiece_model_path: str = ""
    print_translations: bool | None = None
    init_checkpoint: str = ""
    target_sentencepiece_model_path: str = ""
    precision: str | None = None
    validation_beam_size: int | None = None
    warm_start: Request | None = None
