"""Errors that were raised by a Beam worker in another process, and come back as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from babelrank.components import errors

# What ends a message: the step that Beam appends, the next exception of a traceback, or nothing.
_ENDS = r" \[while running '|\n\n(?:During handling of|The above exception was)|\Z"
_RAISED = re.compile(rf"\b{re.escape(errors.__name__)}\.(\w+): (.*?)(?:{_ENDS})", re.DOTALL)


@contextmanager
def own_errors() -> Iterator[None]:
    """Raises errors of ours again as what they were, wherever Beam's workers have raised them.

    Runners whose workers are other processes raise a RuntimeError that holds the worker's whole
    traceback: nobody finds the sentence in it that says what to do.

    Raises:
        BabelRankError: The body raised a RuntimeError that reports one.
    """
    try:
        yield
    except RuntimeError as error:
        found = _RAISED.search(str(error))
        kind = getattr(errors, found[1], None) if found else None
        if found is None or not isinstance(kind, type) or not issubclass(kind, Exception):
            raise
        raise kind(found[2].strip()) from error
