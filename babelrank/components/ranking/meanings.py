"""What the ids of the features stand for, so that the next model can start from this one's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from babelrank.components.ranking.features import Features
from babelrank.components.ranking.preprocessing import Columns
from babelrank.components.training.rows import Rows


def of_features(
    columns: Columns, features: Features, vocabulary: Callable[[str], Sequence[bytes | str]]
) -> tuple[Rows, ...]:
    """What the ids of each feature stand for, in the order of the features.

    Args:
        columns: The columns, and how they become ids.
        features: The inputs that these give.
        vocabulary: The categories in the learned vocabulary of a feature, in their order, as
            `tft.TFTransformOutput.vocabulary_by_name` gives them.
    """
    data, transform = columns.data, columns.transform
    meanings = []
    for feature in features.sparse:
        name = feature.name
        if name in transform.time_features:
            meanings.append(Rows(name=name, kind="time", numbered=feature.size))
        elif name in data.dense:
            buckets = feature.size - 1
            meanings.append(Rows(name=name, kind="quantiles", numbered=1, shared=buckets))
        else:
            config = columns.vocabulary(name)
            hashed = config.hash_buckets
            tokens = () if hashed else tuple(_texts(vocabulary(name)))
            shared = hashed or config.oov_buckets
            meanings.append(Rows(name=name, numbered=1, tokens=tokens, shared=shared))
    return tuple(meanings)


def remarks(columns: Columns) -> tuple[str, ...]:
    """Sentences about what cannot be matched between two models."""
    if not columns.data.dense:
        return ()
    return (
        "dense features are scaled, or sorted into quantiles, by the statistics of the new data; "
        "their weights were kept",
    )


def _texts(categories: Iterable[bytes | str]) -> Iterable[str]:
    for category in categories:
        yield category if isinstance(category, str) else category.decode(errors="backslashreplace")
