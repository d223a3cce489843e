"""YAML as configurations take it: plain data that is what it looks like, whoever wrote it.

Names and texts only: no tag makes an object, no key stands twice, no text holds what a file
name or a protobuf cannot. What would not stop is refused before it is built: too long a text,
too deep a nesting, and aliases that stand for a huge tree or for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from babelrank.components.errors import ConfigError

LONGEST = 1 << 20
"""Most characters of a text; pure Python reads so many in four seconds."""

MOST_VALUES = 100_000
"""Most keys and values, each alias counted as what it stands for."""

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_UNREADABLE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What PyYAML raises for a value that is not of its tag, such as `!!int x` or `2024-13-01`."""


class NotYaml(ConfigError):
    """The text means something else than YAML, such as `> 15`."""


def loads(text: str, where: str) -> Any:
    """The data of one YAML document.

    Args:
        text: The document.
        where: Where it stands, for messages.

    Raises:
        NotYaml: YAML's grammar does not take it.
        ConfigError: It is YAML, but not plain data, or too much of it.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"{where}: longer than {LONGEST:,} characters; is it a configuration?")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except _Refused as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from error
    except yaml.YAMLError as error:
        raise NotYaml(f"{where}: not valid YAML: {error}") from error
    except _UNREADABLE as error:  # as of `"\U00110000"`, in PyYAML's scanner
        raise ConfigError(f"{where}: not valid YAML: {error!s:.100}.") from error
    except RecursionError:
        raise ConfigError(f"{where}: not valid YAML: nested too deeply.") from None


def checked(text: str, where: str) -> str:
    """The text itself.

    Raises:
        ConfigError: It holds what no text of a configuration may.
    """
    found = _NO_TEXT.search(text)
    if found:
        raise ConfigError(f"{where}: the text holds U+{ord(found[0]):04X}, which no text may.")
    return text


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader that refuses what it would silently overwrite, or never finish."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _Census().count(node)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _UNREADABLE as error:
            value = node.value if isinstance(node, yaml.ScalarNode) else "this"
            kind = node.tag.rpartition(":")[2]
            raise _problem(node, f"{value!r:.60} is no {kind} ({error!s:.100})") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):  # as `!!map x`
            raise _problem(node, "expected a mapping")
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<: *anchor
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):  # such as {{ name }}
                raise _problem(key_node, f"got the key {key!r}; takes a name")
            if key in seen:
                raise _problem(key_node, f"the key {key!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Census:
    """Counts what a node stands for, before anything is built from it."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def count(self, node: yaml.Node) -> int:
        """Number of nodes in it, aliases written out.

        Raises:
            yaml.MarkedYAMLError: It stands in itself, there are too many, or a text holds what
                no text may.
        """
        known = self._sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            raise _problem(node, "an alias stands inside of what it stands for")
        self._open.add(id(node))
        size = 1 + sum(map(self.count, _children(node)))
        if size > MOST_VALUES:
            raise _problem(node, f"more than {MOST_VALUES:,} values, aliases written out")
        self._open.remove(id(node))
        self._sizes[id(node)] = size
        return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    found = _NO_TEXT.search(node.value)
    if found:
        raise _problem(node, f"a text holds U+{ord(found[0]):04X}, which no text may")
    return []


class _Refused(yaml.constructor.ConstructorError):  # type: ignore[misc]
    """What is well-formed YAML, but taken by no configuration."""


def _problem(node: yaml.Node, words: str) -> _Refused:
    return _Refused(None, None, words, node.start_mark)
