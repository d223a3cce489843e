"""JSON values in messages."""

from __future__ import annotations

from typing import Any


def shown(value: Any) -> str:
    """A value for a message, short."""
    try:
        text = repr(value)
    except RecursionError:
        return f"{kind(value)}, nested deeply"
    return text if len(text) <= 60 else text[:59] + "…"


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")
