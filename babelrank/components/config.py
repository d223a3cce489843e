"""Frozen dataclasses to and from YAML, with errors that name the key.

A configuration class is a keyword-only frozen dataclass whose fields are made with
`option(default, "help")` (or `required("help")`). Supported field types: `bool`, `int`,
`float`, `str`, `Literal[...]`, other configuration classes, `tuple[T, ...]`,
`dict[str, T]`, `int | str`, and any of these `| None`. A class may define
`from_shorthand(value)` (a classmethod) to accept a scalar in place of a mapping.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import functools
import math
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from babelrank.components import yaml_text
from babelrank.components.errors import ConfigError

T = TypeVar("T")


def option(default: Any, help: str) -> Any:
    """A field with a default and one line of help. Mutable defaults are copied."""
    metadata = {"help": help}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def required(help: str, example: Any) -> Any:
    """A field without a default; `example` is what the commented YAML shows."""
    return dataclasses.field(metadata={"help": help, "example": example})


def section(cls: type, help: str) -> Any:
    """A nested configuration that is there with its own defaults."""
    return dataclasses.field(default_factory=cls, metadata={"help": help})


def from_dict(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Builds a configuration class from plain data.

    Args:
        cls: The configuration dataclass.
        data: Mapping of field names to plain values, as `to_dict` or YAML gives them.
        where: Dotted key of `data` in the whole configuration, for messages.

    Raises:
        ConfigError: An unknown key, a missing key, a wrong type or a bad value.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or 'configuration'}: got {_show(data)}; takes a mapping.")
    hints = _type_hints(typing.cast(Any, cls))
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    for key in data:
        if key not in fields:
            raise ConfigError(_unknown_key(str(key), fields, where))
    values = {}
    for name, field in fields.items():
        key = _join(where, name)
        if name in data:
            values[name] = _convert(hints[name], data[name], key)
        elif _is_required(field):
            raise ConfigError(f"{key}: missing; takes {_describe(hints[name])}.")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(_join(where, str(error))) from None


def to_dict(config: Any) -> Any:
    """The plain data (dicts, lists, scalars) from which `from_dict` rebuilds `config`."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, (tuple, list)):
        return [to_dict(value) for value in config]
    return config


def load_yaml(cls: type[T], path: str | Path, overrides: Iterable[str] = ()) -> T:
    """Reads a YAML file into `cls`, after applying `key=value` overrides.

    Args:
        cls: The configuration dataclass.
        path: YAML file.
        overrides: Dotted keys with YAML values, such as `training.steps=500`.

    Raises:
        ConfigError: The file is missing, no YAML, or its content does not fit `cls`.
    """
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            text = file.read(yaml_text.LONGEST + 1)  # not all: it might be a device, or a log
    except (OSError, ValueError) as error:  # the latter: not UTF-8, or a path with U+0000
        raise ConfigError(f"{path}: cannot read the configuration file: {error}") from error
    data = yaml_text.loads(text, str(path)) or {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: got {_show(data)}; takes a mapping of sections.")
    for assignment in overrides:
        apply_override(data, assignment)
    try:
        return from_dict(cls, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def apply_override(data: dict[str, Any], assignment: str) -> None:
    """Sets one dotted key in place, such as `training.steps=500`.

    Sections on the way are copied: in YAML an alias makes one mapping stand in two places.

    Raises:
        ConfigError: No `=`, a value that is no plain data, or a path through something that is
            no mapping.
    """
    dotted, equals, text = assignment.partition("=")
    if not equals or not dotted.strip():
        raise ConfigError(f"--set {assignment}: takes key=value, such as training.epochs=3.")
    value = _override_value(text, f"--set {dotted}")
    *parents, last = dotted.strip().split(".")
    node = data
    for parent in parents:
        if node.get(parent) is None:
            node[parent] = {}
        inner = node[parent]
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {dotted}: {parent} holds {_show(inner)}, not a mapping.")
        node[parent] = node = dict(inner)
    node[last] = value


def _override_value(text: str, where: str) -> Any:
    try:
        return yaml_text.loads(text, where)
    except yaml_text.NotYaml:
        # A text such as `> 15`, which means something else in YAML.
        return yaml_text.checked(text.strip(), where)


def commented_yaml(cls: type) -> str:
    """The default configuration as YAML, each key explained.

    Keys without a default show an example, so that the text loads as it stands.
    """
    return "\n".join(_commented(cls, 0, {})) + "\n"


def _commented(cls: type, indent: int, examples: Mapping[str, Any]) -> list[str]:
    hints, pad, lines = _type_hints(cls), "  " * indent, []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        help_text = f"{field.metadata.get('help', '')} ({_describe(hint)})"
        nested = dataclasses.is_dataclass(hint)
        if nested:
            help_text = field.metadata.get("help", "")
        lines += [f"{pad}# {line}" for line in textwrap.wrap(help_text, 92 - len(pad))]
        value = examples.get(field.name, field.metadata.get("example"))
        if nested and not isinstance(value, str):
            inner = _commented(typing.cast(type, hint), indent + 1, value or {})
            lines += [f"{pad}{field.name}:", *inner]
            continue
        value = to_dict(_default(field)) if value is None else value
        rendered = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        lines.append(f"{pad}{field.name}: {rendered.removesuffix('...' + chr(10)).strip()}")
    return lines


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        inner = [arg for arg in args if arg is not type(None)]
        if len(inner) == 1:
            return _convert(inner[0], value, key)
        if type(value) not in inner:  # not isinstance: true is no number
            raise ConfigError(f"{key}: got {_show(value)}; takes {_describe(hint)}.")
        return _scalar(type(value), value, key)
    if dataclasses.is_dataclass(hint):
        shorthand = getattr(hint, "from_shorthand", None)
        if value is None and shorthand is None:  # a section whose keys are all commented out
            value = {}
        if shorthand is not None and not isinstance(value, Mapping):
            value = shorthand(value, key)
        return from_dict(typing.cast(type, hint), value, key)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{key}: got {_show(value)}; takes {_describe(hint)}.")
        return tuple(_convert(args[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: got {_show(value)}; takes {_describe(hint)}.")
        return _convert_mapping(args[1], value, key)
    if origin is typing.Literal:
        if value not in args:
            near = difflib.get_close_matches(str(value), [str(arg) for arg in args], 1)
            hint_text = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{key}: got {_show(value)}; takes {_describe(hint)}.{hint_text}")
        return value
    return _scalar(hint, value, key)


def _convert_mapping(hint: Any, value: Mapping[Any, Any], key: str) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for name, item in value.items():
        if not isinstance(name, (str, int)) or isinstance(name, bool):
            raise ConfigError(f"{key}: got the name {_show(name)}; takes text. {_QUOTES}")
        if str(name) in converted:
            raise ConfigError(f"{key}: the name {name} stands twice.")
        converted[str(name)] = _convert(hint, item, _join(key, str(name)))
    return converted


def _scalar(hint: Any, value: Any, key: str) -> Any:
    if hint is Any:
        return value
    if hint is float and not isinstance(value, bool):
        return _number(value, key)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        quotes = f" {_QUOTES}" if hint is str and isinstance(value, _UNQUOTED) else ""
        raise ConfigError(f"{key}: got {_show(value)}; takes {_describe(hint)}.{quotes}")
    if hint is int and not -_INT_LIMIT <= value < _INT_LIMIT:
        raise ConfigError(f"{key}: got {_show(value)}; takes a number of 64 bits.")
    return value


def _number(value: Any, key: str) -> float:
    """A finite number: every comparison with NaN is false, so that it would pass all checks."""
    try:
        number = float(value)  # of texts too: YAML 1.1 reads 1e-3 (no dot) as one
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{key}: got {_show(value)}; takes {_describe(float)}.")
    return number


_INT_LIMIT = 1 << 63
_QUOTES = "Quotes make it text."
_UNQUOTED = (bool, int, float, datetime.date)
"""YAML 1.1 takes `no` (Norwegian) for false, and 2024-01-31 for a date."""
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _describe(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(
            "null" if arg is type(None) else _describe(arg)
            for arg in sorted(args, key=lambda arg: arg is type(None))
        )
    if origin is typing.Literal:
        return "one of " + ", ".join(str(arg) for arg in args)
    if origin is tuple:
        return f"a list of {_describe(args[0])}"
    if origin is dict:
        return f"a mapping of names to {_describe(args[1])}"
    if dataclasses.is_dataclass(hint):
        return "a mapping with " + ", ".join(f.name for f in dataclasses.fields(hint))
    return _TYPE_NAMES.get(hint, "any value")


def _unknown_key(key: str, fields: Mapping[str, Any], where: str) -> str:
    near = difflib.get_close_matches(key, fields, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{_join(where, key)}: unknown key.{hint} Takes {', '.join(fields)}."


def _join(where: str, rest: str) -> str:
    return f"{where}.{rest}" if where else rest


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a huge number"
    return f"{text[:60]}{'…' if len(text) > 60 else ''} ({type(value).__name__})"
