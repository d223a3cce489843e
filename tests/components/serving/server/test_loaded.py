"""Tests of what becomes of TensorFlow's errors when a version is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.server.lines_form import LinesForm
from babelrank.components.serving.server.loaded import Loaded
from babelrank.components.serving.server.refusals import BadRequest, Refusal, TooLarge
from babelrank.components.serving.server.settings import Limits


class Failing:
    """A model that raises what it is told to."""

    def __init__(self, failure: Callable[[], Any]) -> None:
        self._failure = failure

    def ask(self, lines: list[str], nbest: int) -> Any:
        return self._failure()


def _quoting() -> Any:
    return b"\xff".decode()


def _hungry() -> Any:
    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (_quoting, BadRequest, "instances: the model cannot read them."),
        (_hungry, TooLarge, "instances: they want more memory than there is; send less."),
    ],
)
def test_the_request_is_at_fault(failure: Callable[[], Any], kind: type[Refusal], said: str):
    about = LinesDescription(source_language="en", target_language="de", beam_size=1)
    form = LinesForm(about, Limits())
    loaded = Loaded(Path("1"), form, True, 0.0, 0, Failing(failure))

    with pytest.raises(kind, match=said):
        loaded.run(form.door, [["a"]])
