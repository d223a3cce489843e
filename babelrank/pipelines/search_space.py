"""The space of a search: keys of the configuration, and the values that each may take.

A space is a YAML file of dotted keys. A list is a choice, a mapping a range of numbers:

    training.optimizer.learning_rate: {min: 0.0001, max: 0.01, scale: log}
    model.embedding_dim: [8, 16, 32]
    training.batch_size: {min: 128, max: 1024, step: 128}

Only what leaves the transformed examples as they are can be searched: the network, the training,
and for translation the decoding.
"""

from __future__ import annotations

import dataclasses
import random
import types
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from babelrank.components.config import apply_override, from_dict, option, required, to_dict
from babelrank.components.errors import ConfigError
from babelrank.pipelines.config import PipelineConfig

C = TypeVar("C", bound=PipelineConfig)

SEARCHED = ("model", "decoding", "training")
"""Sections of the configuration whose keys can be searched."""

UPSTREAM = ("data", "splits", "spans", "ingest", "transform", "vocabulary")
FIXED = {
    "training.early_stopping.metric": "all trials are compared by one metric; see --metric",
    "training.warm_start": "every trial starts from random weights",
    "training.strategy": "all trials run in the same place",
    "training.deterministic": "it holds for all trials or for none",
    "training.checkpoint_interval": "it changes no result",
    "training.tensorboard": "it changes no result",
}
"""Keys of these sections that cannot be searched, and why."""

_CONTEXTS = 50  # settings of the other keys with which a value is tried before it is refused
_DIGITS = 4  # of a number from a range: enough to search by, and a pleasure to read


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `min` to `max`, both included."""

    min: float = required("Smallest value.", 0.0001)
    max: float = required("Largest value.", 0.01)
    step: float | None = option(
        None, "Distance between values; with scale: log the factor; null: any number."
    )
    scale: Literal["linear", "log"] = option(
        "linear", "log: each factor of ten is as likely as the next."
    )

    def __post_init__(self) -> None:
        if self.min >= self.max:
            raise ConfigError(f"min: got {self.min:g}; takes less than max, {self.max:g}.")
        if self.scale == "log" and self.min <= 0:
            raise ConfigError(f"min: got {self.min:g}; takes more than 0 with scale: log.")
        least = 1 if self.scale == "log" else 0
        if self.step is not None and self.step <= least:
            raise ConfigError(f"step: got {self.step:g}; takes more than {least}.")


@dataclass(frozen=True)
class Choice:
    """One of some values, of any kind."""

    values: tuple[Any, ...]

    def value(self, sample: float) -> Any:
        """The value of a sample, which is an index."""
        return self.values[int(sample)]

    def extremes(self) -> tuple[Any, ...]:
        """Values that stand for all."""
        return self.values


@dataclass(frozen=True)
class Numbers:
    """Numbers of a range, whole ones or any."""

    range: Range
    whole: bool

    def value(self, sample: float) -> float:
        """The value of a sample, which is a number of the range."""
        if self.whole:
            return int(sample)
        digits = _DIGITS if self.range.step is None else 12
        return min(max(float(f"{sample:.{digits}g}"), self.range.min), self.range.max)

    def extremes(self) -> tuple[float, float]:
        """Values that stand for all."""
        ends = self.range.min, self.range.max
        return (int(ends[0]), int(ends[1])) if self.whole else ends


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        dimensions: By dotted key, what values it takes.
    """

    dimensions: dict[str, Choice | Numbers]

    def plain(self) -> dict[str, Any]:
        """The space as JSON has it."""
        return {
            key: list(d.values) if isinstance(d, Choice) else to_dict(d.range)
            for key, d in self.dimensions.items()
        }

    def values(self, samples: Mapping[str, float]) -> dict[str, Any]:
        """The values by key of samples by key."""
        return {key: d.value(samples[key]) for key, d in self.dimensions.items()}


def load_space(path: Path, config: PipelineConfig, refused: Mapping[str, str]) -> Space:
    """Reads a space and tries its values on a configuration.

    Args:
        path: YAML file.
        config: The configuration that the trials start from.
        refused: Keys that cannot be searched this time, and why, besides `FIXED`.

    Raises:
        ConfigError: The file is missing or no YAML, a key does not exist or cannot be searched,
            or a value does not fit whatever the other keys are.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the space: {error}") from error
    try:
        return _space(_mapping(text), config, {**FIXED, **refused})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def configured(config: C, values: Mapping[str, Any]) -> C:
    """The configuration with other values of some keys.

    Args:
        config: The configuration.
        values: Plain data by dotted key.

    Raises:
        ConfigError: An unknown key, or a value that does not fit.
    """
    data = to_dict(config)
    for key, value in values.items():
        apply_override(data, f"{key}={yaml.safe_dump(value, default_flow_style=True)}")
    return from_dict(type(config), data)


def _mapping(text: str) -> dict[str, Any]:
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode) or not data:
        raise ConfigError(
            "takes a mapping of keys to values, such as model.embedding_dim: [8, 16, 32]."
        )
    keys = Counter(key.value for key, _ in node.value)
    for key, count in keys.items():
        if count > 1:
            raise ConfigError(f"{key}: stands {count} times; takes each key once.")
    return {str(key): value for key, value in data.items()}


def _space(data: Mapping[str, Any], config: PipelineConfig, refused: Mapping[str, str]) -> Space:
    dimensions = {}
    for key, spec in data.items():
        _check_key(key, config, refused, tuple(data))
        dimensions[key] = _dimension(key, spec, _hint(type(config), key))
    space = Space(dimensions)
    _check_values(space, config)
    return space


def _check_key(
    key: str, config: PipelineConfig, refused: Mapping[str, str], keys: tuple[str, ...]
) -> None:
    first = key.partition(".")[0]
    if _hint(type(config), key) is None:
        configured(config, {key: None})  # raises what a configuration with it says
    if first in UPSTREAM:
        raise ConfigError(
            f"{key}: cannot be searched: trials share the examples that Transform wrote, and it "
            f"would change them; takes keys of {', '.join(_sections(config))}."
        )
    if first not in SEARCHED:
        raise ConfigError(
            f"{key}: cannot be searched: it does not change the training; takes keys of "
            f"{', '.join(_sections(config))}."
        )
    for fixed, reason in refused.items():
        if key == fixed or key.startswith(f"{fixed}."):
            raise ConfigError(f"{key}: cannot be searched: {reason}.")
    if key == "training" or any(fixed.startswith(f"{key}.") for fixed in refused):
        raise ConfigError(f"{key}: got a section; takes single keys, such as {key}.NAME.")
    for other in keys:
        if other.startswith(f"{key}."):
            raise ConfigError(f"{other}: {key} is searched too; takes one of the two.")


def _sections(config: PipelineConfig) -> list[str]:
    return [name for name in SEARCHED if hasattr(config, name)]


def _dimension(key: str, spec: Any, hint: Any) -> Choice | Numbers:
    if isinstance(spec, list) and spec:
        return Choice(tuple(spec))
    if not isinstance(spec, Mapping):
        raise ConfigError(
            f"{key}: got {spec!r}; takes a list of values, or a range such as {{min: 1, max: 8}}; "
            f"--set {key}=VALUE gives all trials one value."
        )
    if hint not in (int, float):
        raise ConfigError(f"{key}: got a range; takes a list of values, for it is no number.")
    found = from_dict(Range, spec, key)
    if hint is int:
        for name in ("min", "max", "step"):
            value = getattr(found, name)
            if value is not None and not value.is_integer():
                raise ConfigError(f"{key}.{name}: got {value:g}; takes a whole number.")
    return Numbers(found, whole=hint is int)


def _hint(cls: Any, key: str) -> Any:
    """The type of a dotted key without `| None`; None when there is no such key."""
    hint = cls
    for name in key.split("."):
        if typing.get_origin(hint) is dict:
            hint = typing.get_args(hint)[1]
        elif dataclasses.is_dataclass(hint):
            hint = typing.get_type_hints(hint).get(name)
        else:
            return None
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        if typing.get_origin(hint) in (types.UnionType, typing.Union) and len(inner) == 1:
            hint = inner[0]
    return hint


def _check_values(space: Space, config: PipelineConfig) -> None:
    """Each value must fit with some values of the other keys; all pairs would be too many."""
    generator = random.Random(0)
    contexts: list[dict[str, Any]] = [{}]
    for _ in range(_CONTEXTS):
        contexts.append({k: generator.choice(d.extremes()) for k, d in space.dimensions.items()})
    for key, dimension in space.dimensions.items():
        for value in dimension.extremes():
            _check_value(config, key, value, contexts)


def _check_value(
    config: PipelineConfig, key: str, value: Any, contexts: list[dict[str, Any]]
) -> None:
    refusals = []
    for context in contexts:
        try:
            configured(config, {**context, key: value})
            return
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]  # what is said of the value alone
