"""Which model the gate compares a new one with: the last blessed one that is not the new one.

When a run is repeated, its model comes from the cache and may be blessed already. Against itself it
would gain nothing, and a gate that asks for a gain would refuse it for good.
"""

from __future__ import annotations

import ml_metadata as mlmd
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.types import artifact, channel, standard_artifacts

from babelrank.components.lineage import MODEL, ROLLED_BACK, Lineage

NODE = "Baseline"
BLESSING, CANDIDATE = "model_blessing", "candidate"


def baseline(candidate: channel.BaseChannel) -> resolver.Resolver:
    """The node that finds the model; its output is `model`, empty if there is none.

    Args:
        candidate: The new model.
    """
    node: resolver.Resolver = resolver.Resolver(
        strategy_class=Baseline,
        model=channel.Channel(type=standard_artifacts.Model),
        model_blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
        candidate=candidate,
    ).with_id(NODE)
    return node


class Baseline(resolver.ResolverStrategy):
    """Resolves `model` to the last blessed one that is there, and not `candidate`.

    A model that was rolled back is none, even if a run has blessed it since. One of the same
    examples is: of a single data set, that is how a new model is compared with the one before.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[artifact.Artifact]]
    ) -> dict[str, list[artifact.Artifact]]:
        """Resolves the channels `model`, `model_blessing` and `candidate`."""
        found: dict[str, list[artifact.Artifact]] = {name: [] for name in input_dict}
        found[CANDIDATE] = list(input_dict.get(CANDIDATE, ()))
        new = {one.id for one in found[CANDIDATE]}
        models = {one.id: one for one in input_dict.get(MODEL, ()) if _is_usable(one)}
        for number, sign in Lineage(store).good_models(input_dict.get(BLESSING, [])):
            if number in models and number not in new:
                found[MODEL], found[BLESSING] = [models[number]], [sign]
                break
        return found


def _is_usable(model: artifact.Artifact) -> bool:
    there: bool = fileio.exists(model.uri)
    return there and not model.get_string_custom_property(ROLLED_BACK)
