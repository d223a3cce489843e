"""What a serving check asks the signatures of a model, and what it thinks of the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from babelrank.components.serving.check import answers as check_answers
from babelrank.components.serving.check.answers import Difference, Row
from babelrank.components.serving.check.cases import Case, cases
from babelrank.components.serving.check.doors import Arrays, Door
from babelrank.components.serving.check.requests import readable
from babelrank.components.serving.model_rows import RowColumn
from babelrank.components.serving.reference import Reference, ReferenceRow

SINGLES = 8
"""Examples that are also asked one by one."""
_TRAINERS = "what the trainer's model was asked"
_FEATURES = 1e-4
"""By how much the numbers that a model is fed may differ, absolute or relative."""


class Questions:
    """Asks the doors of one model.

    Args:
        doors: The signatures.
        tolerance: By how much scores may differ.
        add: Takes a finding: whether it is good, in words, and the request.
        stage: Takes what is asked next, in words, and the request.
    """

    def __init__(
        self,
        doors: Sequence[Door],
        tolerance: float,
        add: Callable[[bool, str, str], None],
        stage: Callable[[str, str], None],
    ) -> None:
        self._doors, self._tolerance, self._add, self._stage = doors, tolerance, add, stage
        self._failed: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether a door could not answer something."""
        return bool(self._failed)

    def cases(self, examples: Sequence[bytes], columns: Sequence[RowColumn]) -> None:
        """Asks every door every kind of request."""
        kinds = cases(examples, columns)
        answers = {
            door.name: [self._asked(door, kind.examples, kind.name) for kind in kinds]
            for door in self._doors
        }
        for door in self._doors:
            if door.name not in self._failed:
                text = (
                    f"{door.name}: answers all {len(kinds)} kinds of requests with finite values."
                )
                self._add(True, text, "")
                self._alone(door, examples, _of(examples, kinds, answers[door.name]))
        self._agree(kinds, answers)

    def reference(self, reference: Reference) -> tuple[int, float]:
        """Compares with the trainer's outputs; a door that has failed already is not asked again.

        Returns:
            Examples that were compared, and the largest difference of a number.
        """
        found = [row for row in reference.rows if row.example is not None]
        self._not_found(reference, len(found))
        doors = [door for door in self._doors if door.name not in self._failed]
        if not found or not doors:
            return 0, 0.0
        largest = 0.0
        for door in doors:
            names = [name for name in found[0].outputs if name in door.outputs]
            if names:
                largest = max(largest, self._skew(door, found, names))
            else:
                self._fed(door, found, reference.replaced)
        return len(found), largest

    def _asked(self, door: Door, examples: Sequence[bytes], what: str) -> Arrays | None:
        """The answers to some examples; None where they are wrong, which is a finding."""
        request = readable(examples[0]) if examples else "no examples"
        self._stage(f"asking {door.name}: {what}", request)
        try:
            answers = door.ask(examples)
            wrong = check_answers.fault(answers, door.outputs, len(examples))
        except Exception as error:  # whatever a model does is a finding
            wrong = f"{type(error).__name__}: {_first_line(error)}"
        if not wrong:
            return answers
        self._failed.add(door.name)
        self._add(False, f"{door.name}, asked {what}: {wrong}.", request)
        return None

    def _alone(self, door: Door, examples: Sequence[bytes], answers: Arrays | None) -> None:
        """Whether examples get the same answers one by one as they got together."""
        if len(examples) == 1:
            return
        together = [] if answers is None else check_answers.rows(answers)[:SINGLES]
        for example, expected in zip(examples, together, strict=False):
            alone = self._asked(door, [example], "an example alone")
            if alone is None:
                return
            (got,) = check_answers.rows(alone)
            wrong, _ = check_answers.compare(got, expected, self._tolerance)
            if wrong:
                text = (
                    f"{door.name}: an example alone gets another answer than in a batch of "
                    f"{len(examples)}: {wrong[0]}."
                )
                self._add(False, text, readable(example))
                return
        if together:
            text = (
                f"{door.name}: {len(together)} examples get the same answers alone and in a batch."
            )
            self._add(True, text, "")

    def _agree(self, kinds: Sequence[Case], answers: dict[str, list[Arrays | None]]) -> None:
        """Whether the doors that have the same outputs give the same ones."""
        first, *others = self._doors
        for other in (door for door in others if set(door.outputs) & set(first.outputs)):
            pairs = zip(kinds, answers[first.name], answers[other.name], strict=True)
            found = [(case, self._differing(one, two)) for case, one, two in pairs]
            wrong = [(case, *difference) for case, difference in found if difference is not None]
            if not wrong:
                self._add(True, f"{other.name} answers as {first.name} does.", "")
                continue
            case, row, difference = wrong[0]
            text = (
                f"{other.name} and {first.name} disagree on {len(wrong)} of {len(kinds)} kinds of "
                f"requests. The first is {case.name}: {difference}, which {first.name} gives."
            )
            self._add(False, text, readable(case.examples[row]))

    def _differing(self, one: Arrays | None, two: Arrays | None) -> tuple[int, Difference] | None:
        if one is None or two is None:
            return None  # a finding already
        rows = zip(check_answers.rows(two), check_answers.rows(one), strict=True)
        for number, (got, expected) in enumerate(rows):
            wrong, _ = check_answers.compare(got, expected, self._tolerance)
            if wrong:
                return number, wrong[0]
        return None

    def _not_found(self, reference: Reference, found: int) -> None:
        """What is to be said of examples of the trainer that no raw one turned out to be."""
        rows = len(reference.rows)
        if found == rows:
            return
        where = f"the {reference.scanned:,} raw examples of {reference.split}"
        if reference.complete:
            lost = next(row for row in reference.rows if row.example is None)
            text = (
                f"Training-serving skew: {rows - found} of the {rows} examples that the trainer "
                f"kept are none of {where}: what Transform makes of these is not what the model "
                "was trained on. Run Transform and Trainer again, on the same examples."
            )
            self._add(False, text, _shown(lost))
        else:
            text = (
                f"Compared with the trainer's outputs for {found} of {rows} examples: the others "
                f"were not among {where} that were searched."
            )
            self._add(True, text, "")

    def _skew(self, door: Door, rows: Sequence[ReferenceRow], names: Sequence[str]) -> float:
        """Compares a door's answers with the trainer's; returns the largest difference."""
        answers = self._asked(door, _examples(rows), _TRAINERS)
        if answers is None:
            return 0.0
        wrong, largest = [], 0.0
        for row, got in zip(rows, check_answers.rows(answers), strict=True):
            expected: Row = {name: [value] for name, value in row.outputs.items()}
            differences, apart = check_answers.compare(got, expected, self._tolerance, names)
            largest = max(largest, apart)
            wrong += [(row, differences[0])] if differences else []
        if not wrong:
            text = (
                f"{door.name}: {len(rows)} examples are answered as the trainer's own model does, "
                f"within {largest:.2g}."
            )
            self._add(True, text, "")
            return largest
        row, difference = wrong[0]
        text = (
            f"Training-serving skew: {door.name} answers {len(wrong)} of {len(rows)} examples "
            f"otherwise than the trainer's own model. The first: {difference}; serving.tolerance "
            f"is {self._tolerance:g}."
        )
        self._add(False, text, readable(row.example or b""))
        return largest

    def _fed(self, door: Door, rows: Sequence[ReferenceRow], replaced: Sequence[str]) -> None:
        """Compares what a door says the network is fed with what training fed it."""
        names = [n for n in rows[0].inputs if n in door.outputs and n not in replaced]
        if not names:
            return
        answers = self._asked(door, _examples(rows), _TRAINERS)
        if answers is None:
            return
        found = check_answers.rows({name: answers[name] for name in names})
        for row, got in zip(rows, found, strict=True):
            expected: Row = {name: list(np.ravel(row.inputs[name]).tolist()) for name in names}
            wrong, _ = check_answers.compare(got, expected, _FEATURES, names)
            if wrong:
                text = (
                    f"Training-serving skew: {door.name} feeds the network otherwise: {wrong[0]}."
                )
                self._add(False, text, readable(row.example or b""))
                return
        text = f"{door.name}: {len(names)} features of {len(rows)} examples are what training had."
        self._add(True, text, "")


def _of(
    examples: Sequence[bytes], kinds: Sequence[Case], answers: Sequence[Arrays | None]
) -> Arrays | None:
    """The answers to the case that is these examples."""
    asked = zip(kinds, answers, strict=True)
    return next(answer for case, answer in asked if case.examples == tuple(examples))


def _examples(rows: Sequence[ReferenceRow]) -> list[bytes]:
    return [row.example for row in rows if row.example is not None]


def _shown(row: ReferenceRow) -> str:
    """What the model was fed for an example whose raw form is not known."""
    return str(dict(row.inputs))[:400]


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:300].rstrip(".")
