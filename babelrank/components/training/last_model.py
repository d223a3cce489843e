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
from babelrank.components.lineage import EXAMPLES, MODEL, Lineage

NODE = "LastModel"
SIGN = "sign"
"""The channel of what says that a model is good: a blessing or a push."""
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
        for number, sign in lineage.good_models(input_dict.get(SIGN, [])):
            model = models.get(number)
            if model is None or not fileio.exists(model.uri):
                continue
            if not now & lineage.examples(number):
                found[MODEL], found[SIGN] = [model], [sign]
                break
        return found
