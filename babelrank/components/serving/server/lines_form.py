"""How a translation model is asked: with lines; the answer to each are its translations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.server.batcher import Piece
from babelrank.components.serving.server.form import Form, Signature
from babelrank.components.serving.server.refusals import BadRequest
from babelrank.components.serving.server.requests import (
    EXAMPLES,
    NBEST,
    Question,
    Tensor,
    check_text,
    kind,
    nbest_of,
    shown,
)
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.translate import Translated, batches

NOT_FOUND = -1e9
"""Score of a translation that the search did not find: JSON has no infinity."""

_CHARACTERS = 200
"""Of the lines of a full batch; longer ones come in smaller batches."""


class LinesForm(Form):
    """The form of a translation model.

    Args:
        about: What it translates.
        limits: Of requests.
    """

    task = "translation"

    def __init__(self, about: LinesDescription, limits: Limits) -> None:
        super().__init__(limits)
        self.about, self.door = about, about.signature

    @property
    def max_batch(self) -> int:
        return self.limits.max_batch_lines

    @property
    def max_cells(self) -> int:
        return self.max_batch * _CHARACTERS

    def asked(self, tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> Question:
        if [tensor.name for tensor in tensors] != [self.about.source]:
            got = ", ".join(shown(tensor.name) for tensor in tensors) or "none"
            raise BadRequest(f"inputs: got {got}; takes {self.about.source}, once.")
        if tensors[0].datatype != "BYTES":
            raise BadRequest(
                f"{self.about.source}: got datatype {shown(tensors[0].datatype)}; takes BYTES."
            )
        lines = tensors[0].column(self.limits.max_instances)
        return Question(self.door, self._items(lines), self._nbest(parameters.get(NBEST, 1)))

    def pieces(self, question: Question) -> list[tuple[list[int], Piece]]:
        if question.door == EXAMPLES:
            return self._examples(question)
        lines = question.items
        return [
            (rows, Piece(self.door, len(rows), len(lines[rows[-1]]), [lines[row] for row in rows]))
            for rows in batches(lines, self.max_batch)
        ]

    def predictions(self, question: Question, answers: Sequence[Any]) -> list[Any]:
        return [
            {
                self.about.translation: answer.best,
                self.about.nbest: list(answer.translations[: question.nbest]),
                self.about.scores: list(answer.scores[: question.nbest]),
            }
            for answer in answers
        ]

    def tensors(self, question: Question, answers: Sequence[Any]) -> list[Tensor]:
        rows, size = len(answers), question.nbest
        best = Tensor(self.about.translation, "BYTES", [one.best for one in answers], (rows,))
        texts = [text for one in answers for text in _padded(one.translations, size, "")]
        scores = [score for one in answers for score in _padded(one.scores, size, NOT_FOUND)]
        return [
            best,
            Tensor(self.about.nbest, "BYTES", texts, (rows, size)),
            Tensor(self.about.scores, "FP32", scores, (rows, size)),
        ]

    def nothing(self, item: Any) -> Any:
        return Translated(item)  # a blank line

    def inputs(self) -> Signature:
        return [{"name": self.about.source, "datatype": "BYTES", "shape": [-1]}]

    def outputs(self) -> Signature:
        return [
            {"name": self.about.translation, "datatype": "BYTES", "shape": [-1]},
            {"name": self.about.nbest, "datatype": "BYTES", "shape": [-1, -1]},
            {"name": self.about.scores, "datatype": "FP32", "shape": [-1, -1]},
        ]

    def description(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "source_language": self.about.source_language,
            "target_language": self.about.target_language,
            "beam_size": self.about.beam_size,
        }

    def _items(self, found: Sequence[Any]) -> list[Any]:
        lines = []
        for number, one in enumerate(found, 1):
            line = one.get(self.about.source) if isinstance(one, dict) else one
            if not isinstance(line, str) or (isinstance(one, dict) and len(one) > 1):
                raise BadRequest(
                    f"instance {number}: got {shown(one) if isinstance(one, dict) else kind(one)}; "
                    f'takes a text, or {{"{self.about.source}": a text}}.'
                )
            check_text(line, f"instance {number}", self.limits)
            lines.append(line)
        return lines

    def _nbest(self, value: Any) -> int:
        return nbest_of(value, self.about.beam_size)


def _padded(values: Sequence[Any], size: int, filler: Any) -> list[Any]:
    return [*values[:size], *[filler] * (size - len(values))]
