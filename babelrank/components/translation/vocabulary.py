"""`SubwordVocabulary`: learns what sentences are cut into, or carries over what was learned.

Beam counts the train split; SentencePiece learns from the counts in the executor's own process.
Example of use beside stock TFX components:

    vocabulary = SubwordVocabulary(
        examples=example_gen.outputs["examples"],
        data=DataConfig(path="corpus.tsv", source=SideConfig(language="en"),
                        target=SideConfig(language="de")),
        vocabulary=VocabularyConfig(size=8000),
    )
    transform = SubwordTransform(..., subwords=vocabulary.outputs["subwords"])
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError
from babelrank.components.ingest.config import TRAIN
from babelrank.components.translation import coverage, subwords
from babelrank.components.translation.config import DataConfig, SideConfig, VocabularyConfig
from babelrank.components.translation.counting import SIDES, CountTexts, SideCounts
from babelrank.components.translation.records import SOURCE, TARGET

EXAMPLES, REUSE, SUBWORDS = "examples", "reuse", "subwords"
SUMMARY_FILE = "summary.json"
LATEST = "latest"


def settings(
    languages: tuple[str, str], vocabulary: VocabularyConfig
) -> dict[str, str | int | float | bool | list[str]]:
    """What a vocabulary must have been learned with for another run to carry it over."""
    return {
        "source_language": languages[0],
        "target_language": languages[1],
        "size": vocabulary.size,
        "shared": vocabulary.shared,
        "model": vocabulary.model,
        "character_coverage": vocabulary.character_coverage,
        "protected": list(vocabulary.protected),
    }


def read_summary(folder: str) -> dict[str, Any]:
    """The summary of a `SubwordModel` artifact."""
    with fileio.open(os.path.join(folder, SUMMARY_FILE)) as file:
        summary: dict[str, Any] = json.loads(file.read())
    return summary


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `SubwordVocabulary`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Counts, learns or carries over, measures, and writes the artifact.

        Raises:
            ConfigError: The vocabulary's size does not fit the text, or the vocabulary to carry
                over was learned with other settings.
            InputError: There is no text.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        config = json.loads(exec_properties["config"])
        languages = config["source_language"], config["target_language"]
        vocabulary = from_dict(VocabularyConfig, config["vocabulary"], "vocabulary")
        wanted = settings(languages, vocabulary)
        reused = _reused(input_dict, vocabulary)
        models = None if reused is None else _carried_over(reused.uri, wanted)
        folder = artifact_utils.get_single_uri(output_dict[SUBWORDS])
        begun = time.monotonic()
        counts = self._count(input_dict[EXAMPLES], languages, vocabulary, folder)
        seconds = {"count": time.monotonic() - begun}
        if models is None:
            begun = time.monotonic()
            models = _learn(counts, vocabulary)
            seconds["learn"] = time.monotonic() - begun
        begun = time.monotonic()
        by_word = _by_word(languages, vocabulary.shared)
        sides = {
            side: coverage.figures(model, counts[side], side in by_word)
            for side, model in zip(SIDES, models, strict=True)
        }
        seconds["measure"] = time.monotonic() - begun
        summary = {
            "settings": wanted,  # what is carried over was learned with the same
            "carried_over_from": None if reused is None else reused.uri,
            "notes": _notes(reused, vocabulary, sides),
            **sides,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
        }
        _write(folder, models, summary)

    def _count(
        self,
        examples: list[types.Artifact],
        languages: tuple[str, str],
        vocabulary: VocabularyConfig,
        folder: str,
    ) -> dict[str, SideCounts]:
        folders = artifact_utils.get_split_uris(examples, TRAIN)
        files = [path for uri in folders for path in sorted(fileio.glob(os.path.join(uri, "*")))]
        work = CountTexts(
            files=tuple(files),
            by_word=_by_word(languages, vocabulary.shared),
            max_sentences=vocabulary.max_sentences,
            folder=os.path.join(folder, ".parts"),
        )
        return work.run(self._make_beam_pipeline())


def _by_word(languages: tuple[str, str], shared: bool) -> frozenset[str]:
    """Sides that are counted by words; what is learned from together is counted alike."""
    spaced = {
        side: SideConfig(language=language).spaced
        for side, language in zip(SIDES, languages, strict=True)
    }
    if shared and not all(spaced.values()):
        return frozenset()
    return frozenset(side for side in SIDES if spaced[side])


def _learn(counts: dict[str, SideCounts], config: VocabularyConfig) -> tuple[bytes, bytes]:
    """The models of source and target."""
    source, target = counts[SOURCE].texts, counts[TARGET].texts
    if config.shared:
        both: Counter[str] = source + target
        model = subwords.train(both, config)
        return model, model
    return subwords.train(source, config), subwords.train(target, config)


def _reused(
    input_dict: dict[str, list[types.Artifact]], vocabulary: VocabularyConfig
) -> types.Artifact | None:
    """The artifact to carry over, if it is wanted and there is one."""
    found = input_dict.get(REUSE) or []
    return found[0] if found and vocabulary.reuse == LATEST else None


def _carried_over(folder: str, wanted: dict[str, Any]) -> tuple[bytes, bytes]:
    """The models of an earlier run, byte for byte."""
    learned = read_summary(folder)["settings"]
    for name, value in wanted.items():
        if learned.get(name) != value:
            side, _, rest = name.partition("_")
            key = f"data.{side}.{rest}" if rest == "language" else f"vocabulary.{name}"
            raise ConfigError(
                f"{key}: got {value!r}, but the vocabulary to carry over, {folder}, was learned "
                f"with {learned.get(name)!r}. Set it back, or learn a new vocabulary (and train a "
                "new model) with vocabulary.reuse: never."
            )
    source, target = subwords.model_paths(folder)
    return subwords.read(source), subwords.read(target)


def _notes(
    reused: types.Artifact | None, config: VocabularyConfig, sides: dict[str, dict[str, Any]]
) -> list[str]:
    """What a reader of the report should know, in sentences."""
    notes = []
    if reused is not None:
        notes.append("The vocabulary of the last blessed model is carried over.")
    elif config.reuse == LATEST:
        notes.append("A new vocabulary was learned: there is no blessed model to carry over from.")
    sizes = {side: figures["size"] for side, figures in sides.items()}
    if config.shared:
        sizes = {"text": sizes[SOURCE]}
    for name, size in sizes.items():
        if size < config.size:
            notes.append(f"The {name} yields {size:,} subwords; {config.size:,} were asked for.")
    return notes


def _write(folder: str, models: tuple[bytes, bytes], summary: dict[str, Any]) -> None:
    fileio.makedirs(folder)
    for side, model in zip(SIDES, models, strict=True):
        with fileio.open(os.path.join(folder, f"{side}.model"), "wb") as file:
            file.write(model)
        with fileio.open(os.path.join(folder, f"{side}.vocab.txt"), "w") as file:
            file.write("".join(f"{piece}\n" for piece in subwords.pieces(model)))
    with fileio.open(os.path.join(folder, SUMMARY_FILE), "w") as file:
        file.write(json.dumps(summary, indent=1, ensure_ascii=False))


class SubwordVocabularySpec(component_spec.ComponentSpec):
    """Inputs, outputs and execution properties of `SubwordVocabulary`."""

    INPUTS = {
        EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        REUSE: component_spec.ChannelParameter(type=SubwordModel, optional=True),
    }
    OUTPUTS = {SUBWORDS: component_spec.ChannelParameter(type=SubwordModel)}
    PARAMETERS = {"config": component_spec.ExecutionParameter(type=str)}


class SubwordVocabulary(base_beam_component.BaseBeamComponent):
    """Learns the subwords of both languages from the train split.

    Outputs:
        subwords: `SubwordModel`; its `summary.json` has the settings, where it was carried over
            from (or null), notes, the seconds taken, and for each side what
            `coverage.figures` says.

    Args:
        examples: Raw sentence pairs.
        data: Tells the two languages.
        vocabulary: Size and kind.
        reuse: With `vocabulary.reuse: latest`, the vocabulary to carry over; may resolve to
            nothing. See `carried.last_blessed_subwords`.

    Raises:
        ConfigError: `vocabulary.reuse` and `reuse` contradict each other.
    """

    SPEC_CLASS = SubwordVocabularySpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        data: DataConfig,
        vocabulary: VocabularyConfig,
        reuse: types.BaseChannel | None = None,
    ) -> None:
        if (reuse is not None) != (vocabulary.reuse == LATEST):
            raise ConfigError(
                f"vocabulary.reuse: got {vocabulary.reuse!r}; `latest` goes with a channel of "
                "SubwordModel as `reuse`, `never` with none."
            )
        config = {
            "source_language": data.source.language,
            "target_language": data.target.language,
            "vocabulary": to_dict(vocabulary),
        }
        spec = SubwordVocabularySpec(
            examples=examples,
            reuse=reuse,
            config=json.dumps(config, sort_keys=True),
            subwords=channel.Channel(type=SubwordModel),
        )
        super().__init__(spec=spec)
