"""Small models of both tasks, exported as the trainers do and pushed, and servers of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.config import from_dict
from babelrank.components.ranking import signatures as ranking_signatures
from babelrank.components.ranking.config import (
    DataConfig,
    ModelConfig,
    RankingTrainingConfig,
    TransformConfig,
)
from babelrank.components.ranking.preprocessing import Columns, model_features
from babelrank.components.ranking.task import RankingTask, RankingTaskConfig
from babelrank.components.serving import warmup
from babelrank.components.serving.check.doors import doors
from babelrank.components.serving.versions import push
from babelrank.components.translation import config as translation_config
from babelrank.components.translation import signatures as translation_signatures
from babelrank.components.translation import subwords
from babelrank.components.translation.model import build_transformer
from babelrank.components.translation.preprocessing import Tokenizer
from tests.components.ranking.conftest import analyze, example  # noqa: F401  fixtures
from tests.components.translation.conftest import small_config
from tests.contract.model_server import ModelServer

COLUMNS = Columns(
    from_dict(
        DataConfig,
        {
            "path": "x",
            "label": "y",
            "timestamp": "ts",
            "categorical": ["user"],
            "multivalent": {"items": "|"},
            "dense": ["price"],
        },
    ),
    from_dict(TransformConfig, {"dense": "none", "time_features": ["hour"], "max_values": 3}),
)
TRAIN: list[dict[str, list[Any]]] = [
    {"user": ["a"], "items": ["i", "j"], "price": [5.0], "label": [1.0]},
    {"user": ["שלום"], "items": ["i"], "label": [0.0]},
    {"user": ["\N{GRINNING FACE}"], "price": [1.0], "label": [1.0]},
]
BEAM_SIZE = 3
WARMUP_REQUESTS = 9
Direct = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def ranking(analyze: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """SavedModel of a DLRM with random weights that differ for every input."""
    output, _ = analyze(COLUMNS, TRAIN)
    features = model_features(COLUMNS, output.vocabulary_size_by_name)
    network = {"embedding_dim": 4, "bottom_stack": [4], "top_stack": [4]}
    task = RankingTask(
        RankingTaskConfig(
            features=features,
            model=from_dict(ModelConfig, network),
            objective="click",
            training=RankingTrainingConfig(),
        )
    )
    tf.keras.utils.set_random_seed(5)
    model = task.build_model()
    for variable in model.trainable_variables:
        variable.assign(tf.random.normal(variable.shape, stddev=0.5))
    folder = tmp_path_factory.mktemp("ranking") / "model"
    serving = ranking_signatures.ServingModel(model, output, COLUMNS, features)
    ranking_signatures.save(serving, str(folder))
    return folder


@pytest.fixture(scope="session")
def translation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SavedModel of a Transformer with random weights, which answers in any case."""
    gc.collect()  # what earlier tests left half done must not be ended amid the tracing
    text = "a red green house car the ein rotes grünes haus auto das und and \N{GRINNING FACE} שלום"
    proto = subwords.train(
        {word: 3 for word in text.split()}, translation_config.VocabularyConfig(size=50)
    )
    first = Tokenizer(proto)
    tf.keras.utils.set_random_seed(3)
    config = small_config(beam_size=BEAM_SIZE, decode_max_length=6)
    model = build_transformer(config, first.vocab_size, first.vocab_size)
    for variable in model.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.5))
    tokenizer = Tokenizer(proto)  # as in the trainer: made after the last seed was set
    folder = tmp_path_factory.mktemp("translation") / "model"
    side = translation_config.SideConfig
    data = translation_config.DataConfig(
        path="x.tsv", source=side(language="en"), target=side(language="de")
    )
    serving = translation_signatures.ServingModel(model, tokenizer, tokenizer)
    translation_signatures.save(serving, str(folder), data)
    return folder


@pytest.fixture(scope="session")
def loaded_ranking(ranking: Path) -> Any:
    """The model in this process."""
    return tf.saved_model.load(str(ranking))


@pytest.fixture(scope="session")
def loaded_translation(translation: Path) -> Any:
    """The same of the other model."""
    return tf.saved_model.load(str(translation))


def _direct(loaded: Any) -> Direct:
    def run(signature: str, **inputs: Any) -> dict[str, Any]:
        function = loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        answer = function(**{n: tf.constant(v, specs[n].dtype) for n, v in inputs.items()})
        return {name: tensor.numpy() for name, tensor in answer.items()}

    return run


@pytest.fixture(scope="session")
def direct_ranking(loaded_ranking: Any) -> Direct:
    """Calls a signature of the model itself: its name and inputs by keyword, to arrays by name."""
    return _direct(loaded_ranking)


@pytest.fixture(scope="session")
def direct_translation(loaded_translation: Any) -> Direct:
    """The same of the other model."""
    return _direct(loaded_translation)


def _serve(
    name: str, model: Path, loaded: Any, examples: Sequence[bytes], folder: Path
) -> Iterator[ModelServer]:
    """Pushes a model as a run does, with warm-up requests of the serving check, and serves it."""
    found, strange = doors(loaded, model)
    assert not strange
    file = folder / "requests"
    assert warmup.write(found, examples, WARMUP_REQUESTS, file) == WARMUP_REQUESTS
    push(model, folder / "serving", warmup=file)
    with ModelServer(name, folder / "serving") as server:
        yield server


@pytest.fixture(scope="session")
def ranking_server(
    ranking: Path,
    translation: Path,  # TensorFlow's tracing was seen to fail while servers run in this process
    loaded_ranking: Any,
    example: Any,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelServer]:
    """A server of the model `ranking`, in one pushed version."""
    rows = [example(row) for row in ({"user": ["a"], "price": [1.5]}, {"items": ["i", "j"]}, {})]
    folder = tmp_path_factory.mktemp("pushed")
    yield from _serve("ranking", ranking, loaded_ranking, rows, folder)


@pytest.fixture(scope="session")
def translation_server(
    translation: Path,
    loaded_translation: Any,
    example: Any,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelServer]:
    """A server of the model `translation`, in one pushed version."""
    lines = [example({"source": [line]}) for line in ("a red house", "")]
    folder = tmp_path_factory.mktemp("pushed")
    yield from _serve("translation", translation, loaded_translation, lines, folder)


def _numbered(folder: Path, answer: int) -> Path:
    """A SavedModel that answers a number for each of its [B] strings."""

    class Numbered(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.number = tf.Variable(answer, dtype=tf.int64)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def ask(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"number": tf.fill(tf.shape(text), self.number)}

    module, path = Numbered(), folder / f"model-{answer}"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.ask})
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Models that answer 0, 1 …"""
    folder = tmp_path_factory.mktemp("models")
    return [_numbered(folder, number) for number in range(4)]
