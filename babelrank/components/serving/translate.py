"""Asking an exported translation model: lines in, translations out, in order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from babelrank.components.errors import ConfigError
from babelrank.components.serving import model_folder
from babelrank.components.serving.model_lines import LinesDescription

BATCH = 64
WINDOW = 32
"""Batches of lines that are read together and sorted, so that a batch has lines of like length."""
_CHARACTERS = 200
_SQUARES = 10_000**2
"""Lines of a batch times the square of the longest, at the most: attention compares each character
with each other one. A single line is asked whatever its length."""
_UNLIKELY = -1e8
"""Scores below stand for hypotheses that the search did not find."""


@dataclass(frozen=True)
class Translated:
    """The translations of one line.

    Attributes:
        source: The line.
        translations: The best first; none for a blank line.
        scores: Their log-probabilities, normalised by length.
    """

    source: str
    translations: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()

    @property
    def best(self) -> str:
        """The best translation; empty for a blank line."""
        return self.translations[0] if self.translations else ""


class Translator:
    """A loaded translation model.

    Args:
        path: Folder of a SavedModel, or of numbered versions, of which the newest is taken.

    Raises:
        ModelError: There is no translation model that BabelRank exported.
    """

    def __init__(self, path: Path) -> None:
        self.path = model_folder.newest(path)
        self.description = LinesDescription.load(self.path)
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  the model holds its operations

        self._tf = tf
        self._model = model_folder.load(self.path)
        self.signatures = self._model.signatures

    def translate(
        self, lines: Iterable[str], batch: int = BATCH, nbest: int = 1
    ) -> Iterator[Translated]:
        """The translations of each line, in order.

        Args:
            lines: Sentences; a blank one is given back without translations.
            batch: Most lines that go through the model together; with 1, each line is answered
                before the next one is read.
            nbest: Most translations of each line.

        Raises:
            ConfigError: The model gives fewer translations than `nbest`.
        """
        check_nbest(self.description, nbest)
        return self._translated(iter(lines), batch, nbest)

    def _translated(self, lines: Iterator[str], batch: int, nbest: int) -> Iterator[Translated]:
        window = batch * WINDOW if batch > 1 else 1
        while chunk := list(itertools.islice(lines, window)):
            found = [Translated(line) for line in chunk]
            for rows in batches(chunk, batch):
                for row, answer in zip(
                    rows, self.ask([chunk[r] for r in rows], nbest), strict=True
                ):
                    found[row] = answer
            yield from found

    def ask(self, lines: Sequence[str], nbest: int) -> list[Translated]:
        """The translations of [B] lines, none blank, that go through the model together."""
        about = self.description
        signature = self.signatures[about.signature]
        outputs = signature(**{about.source: self._tf.constant(lines)})
        texts = outputs[about.nbest].numpy()[:, :nbest].tolist()
        scores = outputs[about.scores].numpy()[:, :nbest].tolist()
        return [translated(*row) for row in zip(lines, texts, scores, strict=True)]


def check_nbest(description: LinesDescription, nbest: int) -> None:
    """Nothing, if a model gives so many translations.

    Raises:
        ConfigError: It gives fewer.
    """
    beam = description.beam_size
    if not 1 <= nbest <= beam:
        raise ConfigError(
            f"--nbest: got {nbest}; takes 1 to {beam}, the beam with which the model was "
            "exported (decoding.beam_size)."
        )


def translated(line: str, texts: Sequence[bytes], scores: Sequence[float]) -> Translated:
    there = [n for n, s in enumerate(scores) if not n or (math.isfinite(s) and s > _UNLIKELY)]
    return Translated(
        source=line,
        translations=tuple(texts[n].decode("utf-8", "replace") for n in there),
        scores=tuple(scores[n] for n in there),
    )


def batches(lines: Sequence[str], batch: int) -> Iterator[list[int]]:
    """Numbers of the lines that are not blank, by length, in batches.

    Long lines come in smaller batches: memory and time grow with the longest one.
    """
    rows = sorted((n for n, line in enumerate(lines) if line.strip()), key=lambda n: len(lines[n]))
    begin = 0
    for end in range(1, len(rows) + 1):
        full = end - begin == batch
        if end == len(rows) or full or _too_many(lines, rows, begin, end + 1, batch):
            yield rows[begin:end]
            begin = end


def _too_many(lines: Sequence[str], rows: Sequence[int], begin: int, end: int, batch: int) -> bool:
    """Whether the lines rows[begin:end], each as long as the longest, are too much for a batch."""
    count, longest = end - begin, len(lines[rows[end - 1]])
    return count * longest > batch * _CHARACTERS or count * longest**2 > _SQUARES
