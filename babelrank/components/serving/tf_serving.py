"""The operations that each version of TensorFlow Serving registers.

TensorFlow Serving has TensorFlow's own operations, of the version it is built with, and those of
tensorflow-text: up to 2.19 as text 2.12.1 has them, from 2.20 on newer ones. `tf_serving_ops.json`
lists both by version; `scripts/tf-serving-ops` makes it from the wheels.

Names are compared, not definitions: a later version may give an operation another attribute. An
export leaves out attributes that have their default, so only a model that uses the new one meets
it. Imports no TensorFlow.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Set
from dataclasses import dataclass

from babelrank.components.errors import ConfigError

CORE, TEXT = "tensorflow", "tensorflow_text"
_TABLE = "tf_serving_ops.json"
_OLD_TEXT, _FIRST_NEW_TEXT = "2.12.1", (2, 20)
_TITLES = {CORE: "TensorFlow", TEXT: "tensorflow-text"}


@dataclass(frozen=True)
class Missing:
    """An operation that a version of TensorFlow Serving lacks.

    Attributes:
        name: The operation.
        since: The first version that has it, such as `TensorFlow 2.20`; empty: none that we know.
    """

    name: str
    since: str


def missing(names: Set[str], version: str) -> tuple[Missing, ...]:
    """The operations that a version of TensorFlow Serving lacks, by name.

    Raises:
        ConfigError: The table does not have that version.
    """
    core, text = built_with(version)
    there = registered(CORE, core) | registered(TEXT, text)
    return tuple(Missing(name, _since(name)) for name in sorted(names - there))


def needs_text(names: Set[str]) -> bool:
    """Whether a model with these operations needs tensorflow-text to be loaded."""
    return not registered(TEXT, _newest_text()).isdisjoint(names)


def registered(package: str, version: str) -> frozenset[str]:
    """All operations of a version in the table."""
    names: set[str] = set()
    for one, changes in _table()[package].items():
        names = (names | set(changes["added"])) - set(changes["removed"])
        if one == version:
            break
    return frozenset(names)


def built_with(version: str) -> tuple[str, str]:
    """The TensorFlow and the tensorflow-text of a TensorFlow Serving, as the table calls them.

    Raises:
        ConfigError: The table does not have that version.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    core, known = f"{major}.{minor}", list(_table()[CORE])
    if core not in known:
        raise ConfigError(
            f"tf_serving: got {version}; takes a version from {known[0]} to {known[-1]}, whose "
            "operations BabelRank knows, or null, with which they are not compared."
        )
    return core, _newest_text() if (major, minor) >= _FIRST_NEW_TEXT else _OLD_TEXT


def _newest_text() -> str:
    return list(_table()[TEXT])[-1]


def _since(name: str) -> str:
    for package, versions in _table().items():
        for version, changes in versions.items():
            if name in changes["added"]:
                return f"{_TITLES[package]} {version}"
    return ""


@functools.cache
def _table() -> dict[str, dict[str, dict[str, list[str]]]]:
    path = importlib.resources.files("babelrank.components.serving") / _TABLE
    table: dict[str, dict[str, dict[str, list[str]]]] = json.loads(path.read_text("utf-8"))
    return table
