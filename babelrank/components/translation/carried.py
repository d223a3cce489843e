"""Which vocabulary a run carries over: the one that the last blessed model was trained with.

Not the latest one, which may belong to a model that the gate refused: ids of another vocabulary
would make a warm start worthless.
"""

from __future__ import annotations

import json
import os
from typing import Any

import ml_metadata as mlmd
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy
from tfx.dsl.io import fileio
from tfx.types import artifact, channel, standard_artifacts

from babelrank.components.artifacts import SubwordModel
from babelrank.components.lineage import EXAMPLES, MODEL, Lineage
from babelrank.components.translation import vocabulary
from babelrank.components.translation.config import DataConfig, VocabularyConfig

BLESSING, SUBWORDS = "model_blessing", "subwords"


def last_blessed_subwords(
    examples: channel.BaseChannel, data: DataConfig, config: VocabularyConfig
) -> resolver.Resolver:
    """The node that finds the vocabulary to carry over; its output is `subwords`.

    Args:
        examples: The examples that a vocabulary would be learned from.
        data: Tells the languages.
        config: Tells how it would be learned.
    """
    languages = data.source.language, data.target.language
    node: resolver.Resolver = resolver.Resolver(
        strategy_class=LastBlessedSubwords,
        config={"settings": json.dumps(vocabulary.settings(languages, config), sort_keys=True)},
        model=channel.Channel(type=standard_artifacts.Model),
        model_blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        subwords=channel.Channel(type=SubwordModel),
        examples=examples,
    ).with_id("CarriedVocabulary")
    return node


class LastBlessedSubwords(resolver.ResolverStrategy):
    """Resolves `subwords` to the vocabulary of the last blessed model, by its lineage.

    A vocabulary that was itself carried over is traced back to the run that learned it, so that
    runs on the same data find the same artifact, and with it their caches. For the same reason
    nothing is found when that run had these very examples and settings: its cache has the
    vocabulary, and without a cache the same would be learned again.

    Args:
        settings: JSON of `vocabulary.settings`.
    """

    def __init__(self, settings: str) -> None:
        self._settings = json.loads(settings)

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[artifact.Artifact]]
    ) -> dict[str, list[artifact.Artifact]]:
        """Resolves the channels `model`, `model_blessing`, `subwords` and `examples`."""
        blessed = latest_blessed_model_strategy.LatestBlessedModelStrategy().resolve_artifacts(
            store, {name: list(input_dict.get(name, ())) for name in (MODEL, BLESSING)}
        )
        found: dict[str, list[artifact.Artifact]] = {name: [] for name in input_dict}
        found.update(blessed or {})
        found[EXAMPLES] = list(input_dict.get(EXAMPLES, ()))
        lineage = Lineage(store)
        for model in found[MODEL]:
            chain = _chain(lineage, model.id)
            if chain and not self._relearnable(lineage, chain[0], found[EXAMPLES]):
                found[SUBWORDS] = chain[:1]
        return found

    def _relearnable(
        self, lineage: Lineage, subwords: artifact.Artifact, examples: list[artifact.Artifact]
    ) -> bool:
        """True when the subwords were learned from these examples, in this way."""
        if lineage.inputs(subwords.id, vocabulary.REUSE):
            return False  # a copy, and the one that was learned is gone
        same = {one.id for one in examples} == lineage.inputs(subwords.id, EXAMPLES)
        learned: dict[str, Any] = vocabulary.read_summary(subwords.uri)["settings"]
        return same and learned == self._settings


def _chain(lineage: Lineage, model_id: int) -> list[artifact.Artifact]:
    """The vocabulary behind a model: first the learned one, then the copies, those that exist."""
    chain: list[artifact.Artifact] = []
    nearest = lineage.upstream(model_id, SubwordModel.TYPE_NAME)
    while nearest is not None:
        if fileio.exists(os.path.join(nearest.uri, vocabulary.SUMMARY_FILE)):
            chain.insert(0, nearest)
        before = lineage.inputs(nearest.id, vocabulary.REUSE)
        nearest = lineage.read(min(before))[0] if before else None
    return chain
