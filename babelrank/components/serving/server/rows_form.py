"""How a ranking model is asked: with rows; the answer to each is a number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from babelrank.components.errors import InputError
from babelrank.components.serving.model_rows import RowColumn, RowsDescription
from babelrank.components.serving.server import examples as serialized_examples
from babelrank.components.serving.server.batcher import Piece
from babelrank.components.serving.server.form import Form, Signature
from babelrank.components.serving.server.refusals import BadRequest
from babelrank.components.serving.server.requests import (
    EXAMPLES,
    NBEST,
    Question,
    Tensor,
    check_text,
)
from babelrank.components.serving.server.settings import Limits
from babelrank.components.serving.shown import shown

_NUMBERS = ("FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "BOOL")


class RowsForm(Form):
    """The form of a ranking model.

    Args:
        about: What its columns are.
        limits: Of requests.
    """

    task = "ranking"

    def __init__(self, about: RowsDescription, limits: Limits) -> None:
        super().__init__(limits)
        self.about, self.door = about, about.signature

    @property
    def max_batch(self) -> int:
        return self.limits.max_batch

    @property
    def max_cells(self) -> int:
        return self.max_batch  # width costs nothing

    def asked(self, tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> Question:
        known = {column.name: column for column in self.about.columns}
        columns: dict[str, list[Any]] = {}
        for tensor in tensors:
            if tensor.name not in known:
                raise BadRequest(
                    f"inputs: got {shown(tensor.name)}; takes {', '.join(known)}; those that are "
                    "left out are missing values."
                )
            if tensor.name in columns:
                raise BadRequest(f"inputs: got {tensor.name} twice; takes each column once.")
            _check_datatype(tensor, known[tensor.name])
            columns[tensor.name] = tensor.column(self.limits.max_instances)
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise BadRequest(f"inputs: got columns of different lengths ({told}); takes one.")
        if not columns:
            raise BadRequest(f"inputs: got none; takes columns of {', '.join(known)}.")
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return Question(self.door, self._items(rows))

    def pieces(self, question: Question) -> list[tuple[list[int], Piece]]:
        if question.door == EXAMPLES:
            return self._serialized(question.items)
        found = []
        for begin in range(0, len(question.items), self.max_batch):
            rows = list(range(begin, min(begin + self.max_batch, len(question.items))))
            numbers = [row + 1 for row in rows]
            try:
                arrays = self.about.arrays([question.items[row] for row in rows], numbers)
            except InputError as error:
                raise BadRequest(str(error).replace("line ", "instance ", 1)) from None
            found.append((rows, Piece(self.door, len(rows), 0, arrays)))
        return found

    def _serialized(self, examples: Sequence[bytes]) -> list[tuple[list[int], Piece]]:
        rows = list(range(len(examples)))
        chunks = [rows[n : n + self.max_batch] for n in range(0, len(rows), self.max_batch)]
        return [
            (chunk, Piece(EXAMPLES, len(chunk), 0, [examples[row] for row in chunk]))
            for chunk in chunks
        ]

    def predictions(self, question: Question, answers: Sequence[Any]) -> list[Any]:
        return [answer if math.isfinite(answer) else None for answer in answers]

    def tensors(self, question: Question, answers: Sequence[Any]) -> list[Tensor]:
        return [Tensor(self.about.output, "FP32", list(answers), (len(answers),))]

    def nothing(self, item: Any) -> Any:
        return None  # every row is in a piece

    def inputs(self) -> Signature:
        types = {"text": "BYTES", "number": "FP32", "time": "BYTES"}
        return [
            {"name": column.name, "datatype": types[column.kind], "shape": [-1]}
            for column in self.about.columns
        ]

    def outputs(self) -> Signature:
        return [{"name": self.about.output, "datatype": "FP32", "shape": [-1]}]

    def description(self) -> dict[str, Any]:
        columns = [
            {
                "name": column.name,
                "kind": column.kind,
                "separator": column.separator,
                "time_format": column.time_format,
            }
            for column in self.about.columns
        ]
        return {"task": self.task, "columns": columns, "output": self.about.output}

    def _items(self, found: Sequence[Any]) -> list[Any]:
        for number, row in enumerate(found, 1):
            if not isinstance(row, dict):
                raise BadRequest(
                    f"instance {number}: got {shown(row)}; takes an object of columns "
                    f'({self._some()}), or {{"b64": …}} in each instance.'
                )
            for name, value in row.items():
                for text in value if isinstance(value, list) else [value]:
                    if isinstance(text, str):
                        check_text(text, f"instance {number}: {shown(name)}", self.limits)
        return list(found)

    def _examples(self, examples: Sequence[bytes], nbest: int) -> Question:
        serialized_examples.check(examples, self.limits)
        return Question(EXAMPLES, examples, nbest)

    def _some(self) -> str:
        names = [column.name for column in self.about.columns]
        return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")

    def _nbest(self, value: Any) -> int:
        if value != 1:
            raise BadRequest(f"{NBEST}: got {shown(value)}; takes a translation model.")
        return 1


def _check_datatype(tensor: Tensor, column: RowColumn) -> None:
    takes = {
        "text": ("BYTES",),
        "number": _NUMBERS,
        "time": ("BYTES", *_NUMBERS),
    }[column.kind]
    if tensor.datatype not in takes:
        raise BadRequest(
            f"{tensor.name}: got datatype {shown(tensor.datatype)}; takes {', '.join(takes)}."
        )
