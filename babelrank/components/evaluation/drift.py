"""Drift and skew of the features, judged: how far each moved, and which moved too far.

*Drift* lies between the examples that the serving model was trained on and those of this training;
*skew* between the examples of this training and those of the gate's split. Imports no TensorFlow;
`drift_distance` measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from babelrank.components.evaluation.drift_config import DriftConfig
from babelrank.components.evaluation.verdict import DRIFT, Finding

Kind = Literal["categorical", "numeric"]
_KEYS = {"categorical": "max_categorical", "numeric": "max_numeric"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """A feature in one of two sets of examples.

    Attributes:
        kind: Texts are categorical; None when no example has a value.
        missing: Share of the examples that have no value.
    """

    kind: Kind | None
    missing: float


MOST_CHANGED = "most changed: "
"""How `Move.most` begins where it quotes values of the data."""

NOWHERE = Side(kind=None, missing=1.0)
"""A feature that no example has."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """How far a feature moved from one set of examples to another.

    Attributes:
        distance: L-infinity (categorical) or Jensen-Shannon (numeric); None when one of the sides
            has no values, or the two are of different kinds.
        before: The feature in the first set.
        after: The feature in the second.
        most: What changed most, in words; may be empty.
    """

    distance: float | None
    before: Side
    after: Side
    most: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sets of examples, feature by feature.

    Attributes:
        moves: Feature to its move.
        examples: Number of examples of the smaller set.
    """

    moves: Mapping[str, Move]
    examples: int


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """What is known about one feature.

    Attributes:
        feature: Its name.
        kind: None when the examples of this training have no values of it.
        drift: Distance to the serving model's training; None when that cannot be told.
        skew: Distance to the gate's split; None when that cannot be told.
        bound: On both; None: no bound.
        missing: Share of this training's examples without it.
        beyond: Sentences on what is beyond its bound.
    """

    feature: str
    kind: Kind | None
    drift: float | None
    skew: float | None
    bound: float | None
    missing: float
    beyond: tuple[str, ...] = ()

    @property
    def distance(self) -> float:
        """The larger distance; 1, the largest that there is, when it cannot be told."""
        known = [one for one in (self.drift, self.skew) if one is not None]
        return max(known, default=1.0 if self.beyond else 0.0)


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What is known about all features of a run.

    Attributes:
        action: What beyond a bound leads to.
        split: Split that skew is about.
        notes: Sentences on what could not be compared or judged.
        features: Those beyond their bounds first, then by distance.
    """

    action: Literal["report", "refuse"]
    split: str
    notes: tuple[str, ...]
    features: tuple[FeatureDrift, ...]

    @property
    def beyond(self) -> tuple[str, ...]:
        """Sentences on all that is beyond its bound."""
        return tuple(text for feature in self.features for text in feature.beyond)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The same when nobody but the reader acts on them."""
        return self.beyond if self.action == "report" else ()

    def findings(self) -> tuple[Finding, ...]:
        """What the gate's verdict says of them: nothing, unless they can refuse a model."""
        if self.action == "report":
            return ()
        if self.beyond:
            return tuple(Finding(ok=False, text=text, kind=DRIFT) for text in self.beyond)
        kept = f"Drift and skew: none of {len(self.features)} features is beyond its bound."
        return tuple(Finding(ok=True, text=text, kind=DRIFT) for text in (*self.notes, kept))

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> DriftReport:
        """The report of `to_json`."""
        data = json.loads(text)
        features = tuple(
            FeatureDrift(**{**one, "beyond": tuple(one["beyond"])}) for one in data["features"]
        )
        return cls(**{**data, "notes": tuple(data["notes"]), "features": features})


def without_values(sentence: str) -> str:
    """A sentence of `FeatureDrift.beyond` without the values that changed most."""
    kept, quotes, _ = sentence.partition(f"; {MOST_CHANGED}")
    return f"{kept}." if quotes else sentence


def judge(
    config: DriftConfig, split: str, drift: Comparison | None, skew: Comparison
) -> DriftReport:
    """Compares what moved with the bounds.

    Args:
        config: The bounds.
        split: Name of the gate's split.
        drift: From the serving model's training to this one; None without a serving model.
        skew: From the examples of this training to those of the split.
    """
    notes = _notes(config, split, drift, skew)
    names = dict.fromkeys((*skew.moves, *(drift.moves if drift else ())))
    features = [_judged(config, split, name, drift, skew) for name in names]
    features.sort(key=lambda one: (not one.beyond, -one.distance, one.feature))
    return DriftReport(
        action=config.action, split=split, notes=tuple(notes), features=tuple(features)
    )


def _notes(
    config: DriftConfig, split: str, drift: Comparison | None, skew: Comparison
) -> Iterator[str]:
    if drift is None:
        yield (
            "Drift: there is no serving model of other examples whose training statistics are "
            "still there, so there is nothing to compare with."
        )
    few = f"examples on one side are fewer than drift.min_examples = {config.min_examples}"
    if drift is not None and drift.examples < config.min_examples:
        yield f"Drift was measured but not judged: {drift.examples} {few}."
    if skew.examples < config.min_examples:
        yield f"Skew was measured but not judged: {skew.examples} {few} (train or {split})."


def _judged(
    config: DriftConfig, split: str, name: str, drift: Comparison | None, skew: Comparison
) -> FeatureDrift:
    nowhere = Move(distance=None, before=NOWHERE, after=NOWHERE)
    skewed = skew.moves.get(name, nowhere)
    drifted = nowhere if drift is None else drift.moves.get(name, nowhere)
    side = skewed.before
    kind = side.kind or drifted.before.kind or skewed.after.kind
    key, bound = _bound(config, name, kind)
    beyond: list[str] = []
    if drift is not None and drift.examples >= config.min_examples:
        where = "from the serving model's training data to this run's"
        beyond += _beyond(config, name, drifted, f"drifted {where}", key, bound)
    if skew.examples >= config.min_examples:
        beyond += _beyond(config, name, skewed, f"is skewed from train to {split}", key, bound)
    return FeatureDrift(
        feature=name,
        kind=kind,
        drift=drifted.distance,
        skew=skewed.distance,
        bound=bound,
        missing=side.missing,
        beyond=tuple(beyond),
    )


def _bound(config: DriftConfig, name: str, kind: Kind | None) -> tuple[str, float | None]:
    """The key in the configuration that bounds a feature, and its value."""
    if name in config.features:
        return f"drift.features.{name}", config.features[name]
    if kind is None:
        return "drift.max_missing", config.max_missing
    key = _KEYS[kind]
    return f"drift.{key}", getattr(config, key)


def _beyond(
    config: DriftConfig, name: str, move: Move, what: str, key: str, bound: float | None
) -> Iterator[str]:
    """Sentences on what is beyond the bounds of one feature in one comparison."""
    if name in config.features and bound is None:
        return
    before, after = move.before, move.after
    shares = f"{_percent(before.missing)} -> {_percent(after.missing)} of the examples lack it"
    if (before.kind is None) != (after.kind is None):
        verb = "appeared" if before.kind is None else "vanished"
        yield (
            f"{name} {what}: it {verb}, {shares}. If that is meant, "
            f"drift.features: {{{name}: null}} lets it pass."
        )
        return
    if before.kind != after.kind:
        yield f"{name} {what}: its values were {before.kind} and are {after.kind}."
        return
    if bound is not None and move.distance is None and before.kind is not None:
        yield f"{name}: how far it {what} cannot be measured, but {key} = {bound:g} bounds it."
    elif bound is not None and move.distance is not None and move.distance > bound:
        yield f"{name} {what} by {move.distance:.3f}, beyond {key} = {bound:g}; {move.most}."
    limit = config.max_missing
    if limit is not None and abs(after.missing - before.missing) > limit:
        yield f"{name} {what}: {shares}, beyond drift.max_missing = {limit:g}."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
