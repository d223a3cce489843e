"""Which statistics are those of the serving model's training: of the last pushed or blessed one.

As with the model that a training starts from, models of the very same examples do not count: a run
that repeats another finds what that one found, and with it its cache.
"""

from __future__ import annotations

import ml_metadata as mlmd
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.types import artifact, channel, standard_artifacts

from babelrank.components.lineage import EXAMPLES, Lineage

NODE = "ServingStatistics"
PUSHED, BLESSING, STATISTICS = "pushed_model", "model_blessing", "statistics"


def serving_statistics(examples: channel.BaseChannel) -> resolver.Resolver:
    """The node that finds them; its output is `statistics`, empty if there are none.

    Args:
        examples: What ingest put out, on which the new model is trained.
    """
    node: resolver.Resolver = resolver.Resolver(
        strategy_class=ServingStatistics,
        pushed_model=channel.Channel(type=standard_artifacts.PushedModel),
        model_blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        statistics=channel.Channel(type=standard_artifacts.ExampleStatistics),
        examples=examples,
    ).with_id(NODE)
    return node


class ServingStatistics(resolver.ResolverStrategy):
    """Resolves `statistics` to those of the examples behind the serving model.

    The serving model is the last pushed one, or the last blessed one when none was pushed. When
    its statistics are gone nothing is found: an older model's would be another comparison.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[artifact.Artifact]]
    ) -> dict[str, list[artifact.Artifact]]:
        """Resolves the channels `pushed_model`, `model_blessing`, `statistics`, `examples`."""
        lineage = Lineage(store)
        found: dict[str, list[artifact.Artifact]] = {name: [] for name in input_dict}
        found[EXAMPLES] = list(input_dict.get(EXAMPLES, ()))
        now = {one.id for one in found[EXAMPLES]}
        for sign in (PUSHED, BLESSING):
            for model, _ in lineage.good_models(input_dict.get(sign, [])):
                trained = lineage.examples(model)
                if not now & trained:
                    every = input_dict.get(STATISTICS, [])
                    found[STATISTICS] = _statistics(lineage, every, trained)
                    return found
        return found


def _statistics(
    lineage: Lineage, every: list[artifact.Artifact], examples: set[int]
) -> list[artifact.Artifact]:
    """The newest statistics of some examples, if they are still there."""
    for one in sorted(every, key=lambda one: one.id, reverse=True):
        if lineage.inputs(one.id, EXAMPLES) & examples and fileio.exists(one.uri):
            return [one]
    return []
