"""Which model of a pipeline a training starts from: the last blessed or the last pushed one.

Models that were trained on the very same examples do not count. A run that repeats another thus
finds the model which that one started from, and with it its cache; it does not train on from its
own result.
"""

from __future__ import annotations

import ml_metadata as mlmd
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.types import artifact, channel, standard_artifacts

from babelrank.components.errors import ConfigError
from babelrank.components.lineage import Lineage

NODE = "LastModel"
MODEL, SIGN, EXAMPLES = "model", "sign", "examples"
"""Channels of the node. The sign is what says that a model is good: a blessing or a push."""
SIGNS = {
    "blessed": standard_artifacts.ModelBlessing,
    "pushed": standard_artifacts.PushedModel,
}


def last_model(wanted: str, examples: channel.BaseChannel) -> resolver.Resolver:
    """The node that finds the model to start from; its output is `model`, empty if there is none.

    Args:
        wanted: "blessed" or "pushed".
        examples: What ingest put out, on which the new model is trained.

    Raises:
        ConfigError: Something else is wanted.
    """
    if wanted not in SIGNS:
        raise ConfigError(f"wanted: got {wanted!r}; takes {' or '.join(SIGNS)}.")
    node: resolver.Resolver = resolver.Resolver(
        strategy_class=LastModel,
        model=channel.Channel(type=standard_artifacts.Model),
        sign=channel.Channel(type=SIGNS[wanted]),
        examples=examples,
    ).with_id(NODE)
    return node


class LastModel(resolver.ResolverStrategy):
    """Resolves `model` to the last one with a sign that is still there and knew other examples."""

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: dict[str, list[artifact.Artifact]]
    ) -> dict[str, list[artifact.Artifact]]:
        """Resolves the channels `model`, `sign` and `examples`."""
        lineage = Lineage(store)
        found: dict[str, list[artifact.Artifact]] = {name: [] for name in input_dict}
        found[EXAMPLES] = list(input_dict.get(EXAMPLES, ()))
        now = {one.id for one in found[EXAMPLES]}
        models = {one.id: one for one in input_dict.get(MODEL, ())}
        for number, sign in _signed(lineage, input_dict.get(SIGN, [])):
            model = models.get(number)
            if model is None or not fileio.exists(model.uri):
                continue
            if not now & _examples(lineage, number):
                found[MODEL], found[SIGN] = [model], [sign]
                break
        return found


def _examples(lineage: Lineage, model: int) -> set[int]:
    """Ids of the examples that a model was trained on, transformed and as they were before."""
    found: set[int] = set()
    level = lineage.inputs(model, EXAMPLES)
    while level - found:
        found |= level
        level = {before for one in level for before in lineage.inputs(one, EXAMPLES)}
    return found


def _signed(
    lineage: Lineage, signs: list[artifact.Artifact]
) -> list[tuple[int, artifact.Artifact]]:
    """Ids of the good models beside what says so: the last trained, or last pushed, first."""
    blessed, pushed = [], []
    for sign in signs:
        if sign.get_int_custom_property("blessed") == 1:
            blessed.append((sign.get_int_custom_property("current_model_id"), sign))
        if sign.get_int_custom_property("pushed") == 1:
            pushed += [(model, sign) for model in lineage.inputs(sign.id, MODEL)]
    blessed.sort(key=lambda found: found[0], reverse=True)
    pushed.sort(key=lambda found: found[1].id, reverse=True)
    return blessed + pushed
