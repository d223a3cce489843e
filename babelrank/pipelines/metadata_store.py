"""Opens ML Metadata's store, with what its clients for databases of clusters lack.

Two things that TFX writes, JSON above all, fail on PostgreSQL:

- A backslash. The client cuts the quotes off a literal that then has a prefix too.
- A text of more than 2,700 bytes: the column has an index, and PostgreSQL takes no longer entries.

So a backslash is kept there as a character of Unicode's private use, and a long text in pieces, the
second and later ones as custom properties of their own. Reading undoes both.

MariaDB, from 11.6 on, ends a transaction when a row has been changed by another one, such as by
a node that runs at the same time. The client tries again after other conflicts, but not this one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from ml_metadata import MetadataStore, errors
from ml_metadata.proto import metadata_store_pb2

from babelrank.components.errors import BabelRankError

_BACKSLASH, _STAND_IN = "\\", "\ue05c"
_PIECE = "\ue05d"  # between the name of a property and the number of a piece of it
_LONGEST = 600  # characters; up to 2,400 bytes
_TRIES = 5
_CONFLICT = "Record has changed since last read"


def open_store(connection: metadata_store_pb2.ConnectionConfig) -> MetadataStore:
    """Opens the store; makes its tables when the database is empty.

    Args:
        connection: How it is reached; see `database`.

    Raises:
        BabelRankError: It cannot be reached.
    """
    kinds = {"postgresql": PostgreSQLStore, "mysql": MySQLStore}
    kind = kinds.get(connection.WhichOneof("config"), MetadataStore)
    for tries_left in reversed(range(_TRIES)):
        try:
            return kind(connection)
        except RuntimeError as error:
            # Of two that find the database empty, one fails, and may try again.
            if not tries_left:
                raise BabelRankError(
                    f"ML Metadata cannot be reached: {str(error).strip()}. Is the database up, and "
                    f"are BABELRANK_METADATA and BABELRANK_METADATA_PASSWORD right?"
                ) from error
            time.sleep(random.random())
    raise AssertionError("the last try returns or raises")


class MySQLStore(MetadataStore):
    """A store that tries again after every conflict."""

    def _call_method(self, method_name: str, request: Any, response: Any) -> None:
        try:
            super()._call_method(method_name, request, response)
        except errors.InternalError as error:
            if _CONFLICT in str(error):
                raise errors.AbortedError(str(error)) from error  # `_call` tries again after it
            raise


class PostgreSQLStore(MetadataStore):
    """A store whose texts may have backslashes and any length."""

    def _call(
        self, method_name: str, request: Any, response: Any, extra_options: Any = None
    ) -> Any:
        sent = type(request)()
        sent.CopyFrom(request)
        split(sent)
        replace(sent, _BACKSLASH, _STAND_IN)
        result = super()._call(method_name, sent, response, extra_options)
        replace(response, _STAND_IN, _BACKSLASH)
        join(response)
        return result


def replace(message: Any, old: str, new: str) -> None:
    """Replaces a character in all texts of a message."""
    if old.encode() not in message.SerializeToString():  # most have none, and some are large
        return
    for field, value in message.ListFields():
        if field.type != field.TYPE_STRING:
            continue
        if isinstance(value, str):
            setattr(message, field.name, value.replace(old, new))
        else:
            value[:] = [text.replace(old, new) for text in value]
    for inner in _messages(message):
        replace(inner, old, new)


def split(message: Any) -> None:
    """Leaves of each long property in a message the first piece, and adds the others."""
    if message.ByteSize() <= _LONGEST:
        return
    for inner in _messages(message):
        split(inner)
    for kind in _kinds(message):
        properties = getattr(message, kind)
        for name in [one for one in properties if len(properties[one].string_value) > _LONGEST]:
            text = properties[name].string_value
            properties[name].string_value = text[:_LONGEST]
            for start in range(_LONGEST, len(text), _LONGEST):
                piece = f"{name}{_PIECE}{kind}{_PIECE}{start:09}"
                message.custom_properties[piece].string_value = text[start : start + _LONGEST]


def join(message: Any) -> None:
    """Undoes `split`."""
    if _PIECE.encode() not in message.SerializeToString():
        return
    for inner in _messages(message):
        join(inner)
    if _kinds(message):
        for piece in sorted(one for one in message.custom_properties if _PIECE in one):
            name, kind, _ = piece.split(_PIECE)
            text = message.custom_properties[piece].string_value
            getattr(message, kind)[name].string_value += text
            del message.custom_properties[piece]


def _kinds(message: Any) -> tuple[str, ...]:
    """The properties that a message has: artifacts, executions and contexts have both kinds."""
    fields = message.DESCRIPTOR.fields_by_name
    return ("properties", "custom_properties") if "custom_properties" in fields else ()


def _messages(message: Any) -> Iterator[Any]:
    """The messages in a message."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                yield from value.values()
        elif hasattr(value, "add"):
            yield from value
        else:
            yield value
