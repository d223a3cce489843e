"""Tests of `SubwordVocabulary` through its executor, on Beam."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import sentencepiece
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import channel, standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.config import from_dict
from babelrank.components.errors import ConfigError, InputError
from babelrank.components.translation import coverage, subwords
from babelrank.components.translation.config import DataConfig, VocabularyConfig
from babelrank.components.translation.counting import CountTexts, SideCounts
from babelrank.components.translation.vocabulary import Executor, SubwordVocabulary, read_summary

PAIRS = [("the cat", "die Katze"), ("the  hat", "der Hut"), ("a\u00a0cat", "eine Katze")] * 10
BEAM = ["--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1"]


def write(folder, pairs, name="data-0.gz", sides=("source", "target")):
    folder.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions("GZIP" if name.endswith(".gz") else "")
    with tf.io.TFRecordWriter(str(folder / name), options) as writer:
        for pair in pairs:
            made = tf.train.Example()
            for side, text in zip(sides, pair, strict=True):
                made.features.feature[side].bytes_list.value.append(text.encode())
            writer.write(made.SerializeToString())


def artifact(kind, uri):
    made = kind()
    made.uri = str(uri)
    return made


def run(folder, pairs=PAIRS, languages=("en", "de"), earlier=None, **keys):
    """Runs the executor; returns the artifact's folder and its summary."""
    if pairs is not None:
        half = len(pairs) // 2
        write(folder / "examples/Split-train", pairs[:half], "data-0.gz")
        write(folder / "examples/Split-train", pairs[half:], "data-1.gz")
        write(folder / "examples/Split-eval", [("never", "niemals")])
    examples = artifact(standard_artifacts.Examples, folder / "examples")
    examples.split_names = '["train", "eval"]'
    data = {"path": "x", "source": languages[0], "target": languages[1]}
    component = SubwordVocabulary(
        channel.Channel(type=standard_artifacts.Examples),
        from_dict(DataConfig, data, "data"),
        VocabularyConfig(**{"size": 40, **keys}),
        channel.Channel(type=SubwordModel) if keys.get("reuse") == "latest" else None,
    )
    out = folder / "subwords"
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BEAM, tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    inputs = {"examples": [examples]}
    if earlier is not None:
        inputs["reuse"] = [artifact(SubwordModel, path) for path in earlier]
    properties = {"config": component.exec_properties["config"]}
    Executor(context).Do(inputs, {"subwords": [artifact(SubwordModel, out)]}, properties)
    return out, read_summary(str(out))


@pytest.fixture(scope="module", autouse=True)
def without_ephemeral_package():
    """TFX packs itself for remote workers; there are none here."""
    with pytest.MonkeyPatch.context() as patch:
        name = "tfx.utils.dependency_utils.make_beam_dependency_flags"
        patch.setattr(name, lambda arguments: list(arguments))
        yield


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return run(tmp_path_factory.mktemp("learned"))


def test_the_artifact(learned):
    folder, summary = learned
    assert set(os.listdir(folder)) == {
        *("source.model", "target.model", "source.vocab.txt", "target.vocab.txt", "summary.json"),
    }
    assert subwords.same(*subwords.model_paths(str(folder)))
    pieces = (folder / "target.vocab.txt").read_text().splitlines()
    assert pieces == subwords.pieces((folder / "target.model").read_bytes())
    assert len(pieces) == summary["source"]["size"] == summary["target"]["size"]
    assert not any("v" in piece for piece in pieces[3:])  # "never" is in eval


def test_it_is_what_the_counts_teach(learned):
    words = {"the": 20, "cat": 20, "hat": 10, "a": 10}
    words |= {"die": 10, "der": 10, "eine": 10, "Katze": 20, "Hut": 10}
    expected = subwords.train(words, VocabularyConfig(size=40))
    assert (learned[0] / "source.model").read_bytes() == expected


def test_figures(learned):
    folder, summary = learned
    found = summary["source"]
    exact = {"sentences": 30, "measured_sentences": 30, "words": 60, "distinct_words": 4}
    # "the", "cat" and "hat" have 3 characters, "a" one: t h e c a.
    exact |= {"characters": 160, "distinct_characters": 5, "uncovered_characters": 0}
    exact |= {"uncovered": [], "unknown_share": 0}
    assert {name: found[name] for name in exact} == exact
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.model"))
    lengths = [len(processor.encode(text)) for text in ("the cat", "the hat", "a cat")]
    assert found["subwords_per_word"] == pytest.approx(sum(lengths) / 6, abs=1e-6)
    assert found["subwords_per_sentence"] == pytest.approx(sum(lengths) / 3 + 1, abs=1e-6)
    assert found["longest"] == max(lengths) + 1
    assert set(summary["seconds"]) == {"count", "learn", "measure"}


def test_a_vocabulary_smaller_than_asked_for(tmp_path):
    summary = run(tmp_path, size=8000)[1]
    size = summary["source"]["size"]
    assert size < 100
    assert summary["notes"] == [f"The text yields {size} subwords; 8,000 were asked for."]


def test_one_vocabulary_a_side(tmp_path):
    folder, summary = run(tmp_path, shared=False)
    models = [Path(path).read_bytes() for path in subwords.model_paths(str(folder))]
    assert "K" not in subwords.pieces(models[0])
    assert "K" in subwords.pieces(models[1])
    assert [note.split(" yields")[0] for note in summary["notes"]] == ["The source", "The target"]


def test_a_language_without_spaces(tmp_path):
    pairs = [("the cat", "猫です"), ("the hat", "帽子です"), ("the bat", "蝙蝠です")] * 4
    folder, summary = run(tmp_path, pairs, ("en", "ja"), shared=False, max_sentences=2)
    target = summary["target"]
    assert (target["sentences"], target["measured_sentences"]) == (12, 8)
    assert target["words"] is target["subwords_per_word"] is None
    assert summary["source"]["words"] == 24
    assert "す" in "".join(subwords.pieces((folder / "target.model").read_bytes()))


def test_a_shared_vocabulary_with_a_language_without_spaces(tmp_path):
    folder, summary = run(tmp_path, [("the cat", "猫です"), ("a hat", "帽子です")], ("en", "ja"))
    assert summary["source"]["words"] is None
    assert summary["source"]["characters"] == 10
    pieces = subwords.pieces((folder / "source.model").read_bytes())
    assert {"c", "猫"} <= set("".join(pieces))


def test_no_examples(tmp_path):
    with pytest.raises(InputError, match="no text to learn subwords from"):
        run(tmp_path, [])


def test_a_damaged_file(tmp_path):
    write(tmp_path / "examples/Split-train", PAIRS)
    (tmp_path / "examples/Split-train/data-1.gz").write_bytes(b"no gzip at all")
    with pytest.raises(InputError, match=r"data-1.gz: the file is damaged"):
        run(tmp_path, None)


def test_examples_of_another_kind(tmp_path):
    write(tmp_path / "examples/Split-train", PAIRS, sides=("source", "other"))
    with pytest.raises(InputError, match=r"data-0.gz: the examples are no sentence pairs"):
        run(tmp_path, None)


def test_carried_over(tmp_path, learned):
    new = [("Ж Ж", "die Katze"), ("the cat", "der Hut")]
    folder, summary = run(tmp_path, new, earlier=[learned[0]], reuse="latest")
    for name in ("source.model", "target.model", "source.vocab.txt"):
        assert (folder / name).read_bytes() == (learned[0] / name).read_bytes()
    assert summary["carried_over_from"] == str(learned[0])
    assert summary["notes"][0] == "The vocabulary of the last blessed model is carried over."
    assert "learn" not in summary["seconds"]
    # The figures are those of the new text.
    assert summary["source"]["uncovered"] == [["Ж", 2]]
    assert summary["source"]["unknown_share"] > 0
    assert summary["target"]["unknown_share"] == 0


@pytest.mark.parametrize("earlier", [None, []])
def test_nothing_to_carry_over(tmp_path, earlier, learned):
    folder, summary = run(tmp_path, earlier=earlier, reuse="latest")
    assert summary["notes"][0].startswith("A new vocabulary was learned: there is no blessed model")
    assert summary["carried_over_from"] is None
    assert (folder / "source.model").read_bytes() == (learned[0] / "source.model").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 50}, r"vocabulary.size: got 50, but .* learned with 40\. .*reuse: never"),
        ({"model": "bpe"}, "vocabulary.model: got 'bpe'"),
        ({"protected": ("{0}",)}, "vocabulary.protected: got"),
        ({"languages": ("en", "nl")}, "data.target.language: got 'nl'"),
    ],
)
def test_carrying_over_with_other_settings(tmp_path, learned, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, earlier=[learned[0]], reuse="latest", **changes)


@pytest.mark.parametrize(("reuse", "given"), [("latest", False), ("never", True)])
def test_reuse_and_its_channel_go_together(reuse, given):
    with pytest.raises(ConfigError, match=f"vocabulary.reuse: got '{reuse}'"):
        SubwordVocabulary(
            channel.Channel(type=standard_artifacts.Examples),
            from_dict(DataConfig, {"path": "x", "source": "en", "target": "de"}, "data"),
            VocabularyConfig(reuse=reuse),
            channel.Channel(type=SubwordModel) if given else None,
        )


def test_the_configuration_tells_only_what_matters():
    def config(path):
        data = {"path": path, "source": "en", "target": "de"}
        component = SubwordVocabulary(
            channel.Channel(type=standard_artifacts.Examples),
            from_dict(DataConfig, data, "data"),
            VocabularyConfig(),
        )
        return json.loads(component.exec_properties["config"])

    assert config("a.tsv") == config("b.tsv")  # other files are other examples, or no change


def test_a_sample_does_not_depend_on_the_order():
    texts = [f"sentence {i}" for i in range(100)]
    forwards, backwards = SideCounts(), SideCounts()
    forwards.add(texts, by_word=False)
    backwards.add([*texts[::-1], texts[0]], by_word=False)
    for counts in (forwards, backwards):
        counts.sample(10)
    assert set(forwards.texts) == set(backwards.texts)
    assert len(forwards.texts) == 10
    assert set(forwards.texts) != set(texts[:10])


def test_sampling_by_file_is_sampling_of_all():
    plan = CountTexts((), frozenset(), 10, "")
    parts = [SideCounts() for _ in range(3)]
    for i in range(99):
        parts[i % 3].add([f"sentence {i}"], by_word=False)
    whole, merged = SideCounts(), SideCounts()
    for part in parts:
        whole.merge(part)
        plan.limit("source", part)
        merged.merge(part)
        plan.limit("source", merged)
    plan.limit("source", whole)
    assert merged.texts == whole.texts
    assert merged.sentences == 99


def test_empty_sentences_do_not_count():
    counts = SideCounts()
    counts.add(["", "a b", ""], by_word=True)
    assert (counts.sentences, counts.texts, counts.longest) == (1, {"a": 1, "b": 1}, ["a b"])


def test_figures_of_what_is_not_covered():
    model = subwords.train({"ab": 5}, VocabularyConfig(size=20))
    counts = SideCounts(Counter({"ab": 3, "xa": 2, "yyx": 1}), sentences=4, longest=["ab yyx"])
    found = coverage.figures(model, counts, by_word=True)
    assert found["characters"] == 6 + 4 + 3
    assert found["uncovered_characters"] == 5
    assert found["uncovered"] == [["x", 3], ["y", 2]]
    assert found["distinct_characters"] == 4
    assert found["words"] == 6


def test_figures_of_nothing():
    model = subwords.train({"ab": 5}, VocabularyConfig(size=20))
    found = coverage.figures(model, SideCounts(), by_word=True)
    assert (found["unknown_share"], found["subwords_per_sentence"], found["longest"]) == (0, 0, 1)
