"""Tests of search spaces: what they take, what they refuse and why, and what samples become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.config import PipelineConfig, RankingConfig, TranslationConfig
from babelrank.pipelines.search_space import (
    Choice,
    Numbers,
    Range,
    Space,
    configured,
    load_space,
)

RANKING = from_dict(
    RankingConfig,
    {
        "data": {"path": "x", "label": "y", "categorical": ["user"], "dense": ["price"]},
        "evaluation": {"min_auc": 0.6},
    },
)
TRANSLATION = from_dict(
    TranslationConfig,
    {"data": {"path": "x", "source": "en", "target": "de"}, "evaluation": {"min_bleu": 20}},
)
EXAMPLE = """
training.optimizer.learning_rate: {min: 1e-4, max: 0.01, scale: log}
model.embedding_dim: [8, 16, 32]
training.batch_size: {min: 128, max: 1024, step: 128}
"""


def load(
    path: Path, text: str, config: PipelineConfig = RANKING, refused: dict[str, str] | None = None
) -> Space:
    path = path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return load_space(path, config, refused or {})


def test_ranges_are_whole_where_the_key_is(tmp_path: Path):
    space = load(tmp_path, EXAMPLE)
    assert space.dimensions == {
        "training.optimizer.learning_rate": Numbers(Range(min=1e-4, max=0.01, scale="log"), False),
        "model.embedding_dim": Choice((8, 16, 32)),
        "training.batch_size": Numbers(Range(min=128, max=1024, step=128), True),
    }
    assert space.plain()["model.embedding_dim"] == [8, 16, 32]
    assert space.plain()["training.batch_size"]["step"] == 128


def test_samples_become_values(tmp_path: Path):
    samples = {
        "training.optimizer.learning_rate": 0.00123456,
        "model.embedding_dim": 2,
        "training.batch_size": 256.0,
    }
    values = load(tmp_path, EXAMPLE).values(samples)
    assert values == {
        "training.optimizer.learning_rate": 0.001235,
        "model.embedding_dim": 32,
        "training.batch_size": 256,
    }
    assert isinstance(values["training.batch_size"], int)


def test_rounding_stays_within_the_range_and_on_the_steps():
    narrow = Numbers(Range(min=0.123456, max=0.123459), False)
    assert narrow.extremes() == (0.123456, 0.123459)
    assert [narrow.value(x) for x in (0.123457, 0.123459)] == [0.123459, 0.123459]
    stepped = Numbers(Range(min=0, max=1, step=0.1), False)
    assert stepped.value(0.1 + 0.1 + 0.1) == 0.3


def test_choices_hold_anything(tmp_path: Path):
    text = "model.top_stack: [null, [], [64, 32]]\nmodel.concat_dense: [true, false]\n"
    space = load(tmp_path, text)
    config = configured(RANKING, space.values({"model.top_stack": 2, "model.concat_dense": 1}))
    assert (config.model.top_stack, config.model.concat_dense) == ((64, 32), False)
    assert configured(RANKING, space.values({"model.top_stack": 0, "model.concat_dense": 0})) == (
        RANKING
    )


def test_a_section_that_was_not_there():
    config = configured(RANKING, {"training.privacy.noise_multiplier": 2.0})
    assert config.training.privacy is not None
    assert config.training.privacy.noise_multiplier == 2


def test_values_that_fit_only_with_others_are_taken(tmp_path: Path):
    # With interaction: dot the bottom stack must end in embedding_dim, which is 16 by default.
    text = "model.bottom_stack: [[64, 16], [64, 8]]\n"
    with pytest.raises(ConfigError, match="the last layer has 8 units; takes embedding_dim, 16"):
        load(tmp_path, text)
    space = load(tmp_path, text + "model.embedding_dim: [16, 8]\n")
    assert list(space.dimensions) == ["model.bottom_stack", "model.embedding_dim"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "takes a mapping of keys to values, such as model.embedding_dim"),
        ("- model", "takes a mapping of keys to values"),
        ("a: [", "space.yaml: not valid YAML"),
        ("model.dropout: [0.1]\nmodel.dropout: [0.2]", "model.dropout: stands 2 times"),
        ("training.stpes: [1, 2]", r"training\.stpes: unknown key\. Did you mean steps\?"),
        ("trainign.steps: [1]", r"trainign: unknown key\. Did you mean training\?"),
        ("model.dropout.x: [1]", "model.dropout: got .* takes a number|dropout holds"),
        ("decoding.alpha: [1]", "decoding: unknown key"),
        ("data.dense: [[a], [b]]", "would change them; takes keys of model, training"),
        ("transform.buckets: [5]", "trials share the examples that Transform wrote"),
        ("splits.eval: [0.1]", "trials share the examples that Transform wrote"),
        ("evaluation.min_auc: [0.1]", "evaluation.min_auc: cannot be searched: it does not change"),
        ("training.early_stopping.metric: [auc]", "compared by one metric; see --metric"),
        ("training.strategy.name: [auto]", "all trials run in the same place"),
        ("training.warm_start: [blessed]", "every trial starts from random weights"),
        ("training: [{}]", "training: got a section; takes single keys, such as training.NAME"),
        ("training.early_stopping: [{}]", "got a section; takes single keys"),
        ("model.dropout: [0.5, 1.5]", r"model\.dropout: got 1\.5; takes 0 <= x < 1"),
        ("model.dropout: {min: 0, max: 1}", r"model\.dropout: got 1\.0; takes 0 <= x < 1"),
        ("model.dropout: 0.5", r"model\.dropout: got 0\.5; takes a list of values, or a range"),
        ("model.dropout: []", r"model\.dropout: got \[\]; takes a list of values, or a range"),
        ("model.dropout: {mn: 0, max: 1}", r"model\.dropout\.mn: unknown key\. Did you mean min"),
        ("model.dropout: {min: 0.2, max: 0.1}", "min: got 0.2; takes less than max, 0.1"),
        ("model.dropout: {min: 0, max: 0.1, scale: log}", "min: got 0; takes more than 0 with"),
        ("model.dropout: {min: 0, max: 0.1, step: 0}", "step: got 0; takes more than 0"),
        ("model.dropout: {min: 0.1, max: 0.2, step: 1, scale: log}", "takes more than 1"),
        ("model.embedding_dim: {min: 1.5, max: 8}", r"embedding_dim\.min: got 1\.5; takes a whole"),
        ("model.interaction: {min: 1, max: 8}", "takes a list of values, for it is no number"),
        ("model.interaction: [dot, corss]", r"got 'corss' .* Did you mean cross\?"),
        (
            "training.privacy: [null]\ntraining.privacy.delta: [1e-5]",
            "training.privacy.delta: training.privacy is searched too; takes one of the two",
        ),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "space.yaml"))


def test_refusals_of_one_search(tmp_path: Path):
    text = "training.epochs: [1, 2]"
    assert load(tmp_path, text).dimensions == {"training.epochs": Choice((1, 2))}
    with pytest.raises(ConfigError, match=r"training\.epochs: cannot be searched: so it is\."):
        load(tmp_path, text, refused={"training.epochs": "so it is"})


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read the space"):
        load_space(tmp_path / "none.yaml", RANKING, {})


@pytest.mark.parametrize(
    ("text", "dimensions"),
    [
        ("decoding.alpha: [0.6, 1]", {"decoding.alpha": Choice((0.6, 1))}),
        ("model: [tiny, small]", {"model": Choice(("tiny", "small"))}),
        (
            "training.tokens_per_batch: {min: 256, max: 4096, step: 2, scale: log}",
            {
                "training.tokens_per_batch": Numbers(
                    Range(min=256, max=4096, step=2, scale="log"), True
                )
            },
        ),
    ],
)
def test_translation(tmp_path: Path, text: str, dimensions: dict[str, Any]):
    assert load(tmp_path, text, TRANSLATION).dimensions == dimensions


def test_translation_shares_its_vocabulary(tmp_path: Path):
    with pytest.raises(ConfigError, match="takes keys of model, decoding, training"):
        load(tmp_path, "vocabulary.size: [100, 200]", TRANSLATION)
