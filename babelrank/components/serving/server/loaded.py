"""One version of a model in memory: verified, warm, and asked by the batcher's thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babelrank.components.errors import ModelError
from babelrank.components.serving import model_folder
from babelrank.components.serving.manifest import MANIFEST, verify
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowsDescription
from babelrank.components.serving.predict import Predictor
from babelrank.components.serving.server import warmup
from babelrank.components.serving.server.form import Form
from babelrank.components.serving.server.lines_form import LinesForm
from babelrank.components.serving.server.refusals import BadRequest, TooLarge
from babelrank.components.serving.server.requests import EXAMPLES
from babelrank.components.serving.server.rows_form import RowsForm
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.translate import Translator


@dataclass(eq=False)
class Loaded:
    """A version that can be asked.

    Attributes:
        path: Its folder.
        form: How it is asked.
        verified: Whether its files are what its manifest says; False: it has none.
        seconds: What loading and warming took.
        asked: Requests that it answered to get warm.
    """

    path: Path
    form: Form
    verified: bool
    seconds: float
    asked: int
    _model: Any

    @property
    def name(self) -> str:
        """Its number, or the name of its folder."""
        return self.path.name

    def run(self, door: str, contents: Sequence[Any]) -> list[list[Any]]:
        """The answers to the contents of pieces: a number for each row, `Translated` for lines.

        Raises:
            BadRequest: The model cannot read them.
            TooLarge: They want more memory than there is.
        """
        import tensorflow as tf

        try:
            answers = self._answers(door, contents)
        except UnicodeDecodeError:  # TensorFlow's message quotes bytes of the request
            raise BadRequest("instances: the model cannot read them.") from None
        except tf.errors.ResourceExhaustedError:
            raise TooLarge("instances: they want more memory than there is; send less.") from None
        sizes = [_size(content) for content in contents]
        ends = np.cumsum(sizes).tolist()
        return [answers[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def _answers(self, door: str, contents: Sequence[Any]) -> list[Any]:
        if door == EXAMPLES:
            return self._scores([example for content in contents for example in content])
        if isinstance(self.form, LinesForm):
            joined = [line for content in contents for line in content]
            lines: list[Any] = self._model.ask(joined, self.form.about.beam_size)
            return lines
        arrays = {key: np.concatenate([c[key] for c in contents]) for key in contents[0]}
        scores: list[Any] = self._model.score(arrays).tolist()
        return scores

    def _scores(self, examples: Sequence[bytes]) -> list[Any]:
        import tensorflow as tf

        try:
            outputs = self._model.signatures[EXAMPLES](tf.constant(examples))
        except tf.errors.InvalidArgumentError as error:
            raise BadRequest(f"instances: the model cannot read them: {error.message}") from None
        scores: list[Any] = outputs[self._model.description.output].numpy().tolist()
        return scores


def load(version: Path, limits: Limits, unverified: bool = False) -> Loaded:
    """A version in memory, warm.

    Args:
        version: Folder of a SavedModel.
        limits: Of requests.
        unverified: Whether it may have no manifest.

    Raises:
        ModelError: It was altered since its push, has no manifest, cannot be loaded, or cannot
            answer its warm-up requests.
    """
    began = time.monotonic()
    verified = (version / MANIFEST).exists() or not unverified
    if verified:
        _verify(version)
    form = _form(version, limits)
    lines = isinstance(form, LinesForm)
    model = Translator(version) if lines else Predictor(version)
    loaded = Loaded(version, form, verified, 0.0, 0, model)
    loaded.asked = warmup.replay(version, model.signatures)
    for _, piece in form.pieces(form.question({"instances": ["a"] if lines else [{}]})):
        try:
            loaded.run(piece.door, [piece.content])
        except Exception as error:  # whatever the model does: it is not to be served
            raise ModelError(f"{version}: cannot answer a request: {error!s:.300}") from error
        loaded.asked += 1
    loaded.seconds = time.monotonic() - began
    return loaded


def _form(model: Path, limits: Limits) -> Form:
    """How the model in a SavedModel's folder is asked.

    Raises:
        ModelError: BabelRank did not export the model.
    """
    if model_folder.task_of(model) == "translation":
        return LinesForm(LinesDescription.load(model), limits)
    return RowsForm(RowsDescription.load(model), limits)


def _verify(version: Path) -> None:
    if not (version / MANIFEST).exists():
        raise ModelError(
            f"{version}: has no {MANIFEST}: nothing says who pushed it, or that it is unaltered. "
            "Push it with BabelRank, or start the server with --unverified."
        )
    verify(version)


def _size(content: Any) -> int:
    return len(next(iter(content.values())) if isinstance(content, dict) else content)
