"""Configuration: presets, shorthands and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError
from babelrank.components.translation.config import (
    DataConfig,
    SideConfig,
    SplitsConfig,
    VocabularyConfig,
)
from babelrank.components.translation.model_config import (
    DecodingConfig,
    EncDecoder,
    ModelConfig,
    NetworkConfig,
    TranslationTrainingConfig,
)

DATA = {"path": "x.tsv", "source": "en", "target": "de"}


def test_the_model_gardens_fields_and_defaults() -> None:
    assert EncDecoder().as_dict() == {
        "num_layers": 6,
        "num_attention_heads": 8,
        "intermediate_size": 2048,
        "activation": "relu",
        "dropout_rate": 0.1,
        "attention_dropout_rate": 0.1,
        "intermediate_dropout": 0.1,
        "use_bias": False,
        "norm_first": True,
        "norm_epsilon": 1e-6,
    }
    model = ModelConfig().as_dict()
    assert {k: v for k, v in model.items() if k not in ("encoder", "decoder")} == {
        "embedding_width": 512,
        "dropout_rate": 0.1,
        "padded_decode": False,
        "decode_max_length": None,
        "beam_size": 4,
        "alpha": 0.6,
        "label_smoothing": 0.1,
    }


def test_presets_and_what_stands_beside_them() -> None:
    assert NetworkConfig(preset="base").resolved() == ModelConfig()
    small = NetworkConfig(preset="small", decoder_layers=1, dropout=0.3, attention_dropout=0.0)
    model = small.resolved(DecodingConfig(beam_size=2, max_length=9, static_shapes=True))
    assert (model.embedding_width, model.encoder.intermediate_size) == (256, 1024)
    assert (model.encoder.num_layers, model.decoder.num_layers) == (3, 1)
    assert (model.decoder.dropout_rate, model.decoder.attention_dropout_rate) == (0.3, 0.0)
    assert (model.beam_size, model.decode_max_length, model.padded_decode) == (2, 9, True)


def test_shorthands() -> None:
    data = from_dict(DataConfig, DATA)
    assert data.source == SideConfig(language="en")
    assert data.columns == (0, 1)
    assert from_dict(DataConfig, {**DATA, "format": "parquet"}).columns == ("en", "de")
    splits = from_dict(SplitsConfig, {"explicit": {"eval": "dev.tsv"}, "eval": 0, "test": 0})
    assert splits.explicit.eval is not None and splits.explicit.eval.path == "dev.tsv"
    assert (splits.names, splits.gate) == (("train", "eval"), "eval")


@pytest.mark.parametrize("cls", [DataConfig])
def test_plain_data_and_back(cls: type[DataConfig]) -> None:
    data = from_dict(cls, DATA)
    assert from_dict(cls, to_dict(data)) == data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None}, "path: missing"),
        ({"format": "moses"}, r"source.path: missing; format: moses"),
        ({"source": {"language": "en", "path": "a"}}, r"source.path: only format: moses"),
        ({"source": {"language": "en", "column": "a"}}, "take two numbers .* or two names"),
        ({"source": {"language": "e n"}}, "language: got 'e n'"),
        ({"source": {"language": "en", "column": -1}}, "column: got -1"),
        ({"source": 3}, "takes a language code"),
        ({"cleaning": {"max_length_ratio": 0.5}}, "max_length_ratio: got 0.5"),
        ({"cleaning": {"max_wrong_script": 2.0}}, "max_wrong_script: got 2"),
    ],
)
def test_bad_data(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(DataConfig, {**DATA, **changes})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkConfig(heads=3), "heads: got 3; takes a divisor of the width, 256"),
        (lambda: NetworkConfig(dropout=1.0), "dropout: got 1.0"),
        (lambda: NetworkConfig(layers=0), "layers: got 0"),
        (lambda: DecodingConfig(static_shapes=True), "static_shapes: needs max_length"),
        (lambda: DecodingConfig(beam_size=0), "beam_size: got 0"),
        (lambda: VocabularyConfig(size=3), "size: got 3"),
        (lambda: SplitsConfig(eval=0), "training needs an eval split"),
        (lambda: SplitsConfig(eval=0.5, test=0.5), "takes less than 1"),
        (
            lambda: TranslationTrainingConfig(tokens_per_batch=64, max_length=65),
            "max_length: got 65; takes at most tokens_per_batch, 64",
        ),
    ],
)
def test_bad_values(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_languages_without_spaces() -> None:
    assert not SideConfig(language="zh-Hans").spaced
    assert not SideConfig(language="ja").spaced
    assert SideConfig(language="pt_BR").spaced
    assert SideConfig(language="pt_BR").primary == "pt"
