"""Tests of the whole translation configuration: what one section demands of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from babelrank.components.config import commented_yaml, from_dict, load_yaml, to_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.config import TranslationConfig

MINIMAL: dict[str, Any] = {
    "data": {"path": "a.tsv", "source": "en", "target": "de"},
    "evaluation": {"min_bleu": 20},
}
DESIGN = """
data:
  path: corpus/*.tsv.gz      # or source: / target: line files
  format: tsv                # moses tmx po
  source: {language: en, column: 0}
  target: {language: de, column: 1}
splits: {by: source, eval: 0.02, test: 0.02}
vocabulary: {size: 8000, shared: true}
model: {preset: small}
training: {tokens_per_batch: 4096, steps: 20000}
evaluation: {min_bleu: 20, max_bleu_drop: 0.5}
"""


def config(**sections: Any) -> TranslationConfig:
    """The minimal configuration with keys of its sections changed."""
    merged = {
        name: {**MINIMAL.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in {**MINIMAL, **sections}.items()
    }
    return from_dict(TranslationConfig, merged)


def test_minimal_and_round_trip():
    assert config().name == "translation"
    assert from_dict(TranslationConfig, to_dict(config())) == config()
    plain = yaml.safe_load(yaml.safe_dump(to_dict(config())))
    assert from_dict(TranslationConfig, plain) == config()


def test_the_documented_example_loads(tmp_path: Path):
    path = tmp_path / "translation.yaml"
    path.write_text(DESIGN, encoding="utf-8")
    found = load_yaml(TranslationConfig, path, ["data.path='other/*.tsv'"])
    assert found.data.path == "other/*.tsv"
    assert (found.data.source.language, found.data.target.column) == ("en", 1)
    assert (found.training.tokens_per_batch, found.training.steps) == (4096, 20000)
    assert (found.evaluation.min_bleu, found.evaluation.max_bleu_drop) == (20.0, 0.5)


def test_printed_default_loads_and_holds_the_defaults(tmp_path: Path):
    path = tmp_path / "translation.yaml"
    path.write_text(commented_yaml(TranslationConfig), encoding="utf-8")
    data = {
        "path": "corpus/*.tsv.gz",
        "source": {"language": "en", "column": 0},
        "target": {"language": "de", "column": 1},
    }
    gate = {"min_bleu": 20, "max_bleu_drop": 0.5}
    expected = from_dict(TranslationConfig, {"data": data, "evaluation": gate})
    assert load_yaml(TranslationConfig, path) == expected


def moses(**files: Any) -> dict[str, Any]:
    sides = {
        "source": {"language": "en", "path": "a.en"},
        "target": {"language": "de", "path": "a.de"},
    }
    data = {"path": None, "format": "moses", **sides}
    return {"data": data, "splits": {"explicit": {"eval": files}}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"name": "my pipeline"}, r"^name: got 'my pipeline'; takes at most 100 letters"),
        (
            {"evaluation": {"slices": ["genre"]}},
            r"^evaluation\.slices: got genre; takes source_length or origin, or the two joined",
        ),
        ({"evaluation": {"slices": ["origin*target"]}}, r"^evaluation\.slices: got target; takes"),
        ({"evaluation": {"min_auc": 0.5}}, r"^evaluation\.min_auc: unknown key"),
        ({"evaluation": {"min_bleu": None}}, r"^evaluation\.min_bleu: null, and so are all other"),
        ({"data": {"source": {"column": 0}}}, r"^data\.source\.language: missing; takes text"),
        (
            {"data": {"source": {"language": "en", "column": True}}},
            r"^data\.source\.column: got True \(bool\); takes text or a whole number or null",
        ),
        ({"data": {"path": None}}, r"^data\.path: missing; takes a file or a glob"),
        ({"decoding": {"static_shapes": True}}, r"^decoding\.static_shapes: needs max_length"),
        ({"model": "huge"}, r"^model\.preset: got 'huge' \(str\); takes one of tiny, small, base"),
        ({"splits": {"eval": 0}}, r"^splits\.eval: got 0"),
        (
            {"drift": {"features": {"source": 0.1}}},
            r"^drift\.features\.source: there is no such feature; takes source_length, origin\.$",
        ),
        (moses(path="dev.tsv"), r"^splits\.explicit\.eval: got a path; format: moses takes source"),
    ],
)
def test_errors(sections: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        config(**sections)


@pytest.mark.parametrize(
    "sections",
    [
        {"evaluation": {"slices": ["source_length", "origin", "origin*source_length"]}},
        {"evaluation": {"slices": []}},
        {"model": "tiny"},
        {"decoding": {"static_shapes": True, "max_length": 64}},
        {"splits": {"explicit": {"eval": "dev.tsv", "test": {"path": "test.tsv"}}}},
        {
            "data": {
                "source": {"language": "en", "column": "a"},
                "target": {"language": "de", "column": "b"},
            }
        },
        moses(source="dev.en", target="dev.de"),
    ],
)
def test_what_is_allowed(sections: dict[str, Any]):
    built = config(**sections)
    assert from_dict(TranslationConfig, to_dict(built)) == built


def test_the_gate_s_split():
    assert config().splits.gate == "test"
    assert config(splits={"test": 0}).splits.gate == "eval"
    assert config(splits={"test": 0, "explicit": {"test": "t.tsv"}}).splits.gate == "test"
