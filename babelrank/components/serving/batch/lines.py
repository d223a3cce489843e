"""A translation model that is asked about the blocks of a file of lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.ingest.files import open_input
from babelrank.components.serving.batch import text as batch_text
from babelrank.components.serving.batch.asking import Numbers, ask_apart
from babelrank.components.serving.batch.config import BatchConfig
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.translate import BATCH, Translated, Translator, batches

TRANSLATIONS = "translations"


class LinesOfText:
    """Asks about lines; a blank one has a blank translation.

    Args:
        translator: The model.
        config: How many translations, and how long a line may be.
    """

    def __init__(self, translator: Translator, config: BatchConfig) -> None:
        self._translator = translator
        self._config = config

    def blocks(self, path: str) -> Iterator[Block]:
        """The blocks of a file.

        Raises:
            InputError: The file cannot be read, is empty, or UTF-16.
        """
        with open_input(path) as file:
            yield from batch_text.read_lines(file, path)

    def answer(self, block: Block) -> Rows:
        """The translations of a block's lines."""
        lines: list[str] = block.batch.column(0).to_pylist()
        limit, bad = self._config.max_characters, []
        for n, line in enumerate(lines):
            if len(line) > limit:
                detail = f"{len(line):,} characters; at most {limit:,} are taken"
                bad.append((n, "too_long", detail))
        long = {n for n, _, _ in bad}
        asked = ["" if n in long else line for n, line in enumerate(lines)]
        found = [Translated(line) for line in asked]

        def ask(rows: Numbers) -> list[Translated]:
            return self._translator.ask([asked[n] for n in rows], self._config.nbest or 1)

        for rows in batches(asked, self._config.batch_size or BATCH):
            for part, answer in ask_apart(ask, np.array(rows, np.int64)):
                if isinstance(answer, str):
                    bad += [(int(n), "model_error", answer) for n in part]
                    continue
                for n, translated in zip(part, answer, strict=True):
                    found[n] = translated
        wrong = {n for n, _, _ in bad}
        good = [n for n in range(len(lines)) if n not in wrong]
        return Rows(self._table([found[n] for n in good]), np.array(good, np.int64), sorted(bad))

    def _table(self, found: Sequence[Translated]) -> pa.RecordBatch:
        return table(self._translator.description, found, self._config.nbest is not None)


def output_names(about: LinesDescription, several: bool) -> tuple[str, ...]:
    """Names of the columns that are written."""
    return (TRANSLATIONS, about.scores) if several else (about.translation,)


def table(about: LinesDescription, found: Sequence[Translated], several: bool) -> pa.RecordBatch:
    """[B] translations as columns: the best one, or several with their scores."""
    names = list(output_names(about, several))
    if not several:
        texts = pa.array([one.best for one in found], pa.string())
        return pa.RecordBatch.from_arrays([texts], names)
    lists = pa.array([one.translations for one in found], pa.list_(pa.string()))
    numbers = [[s if math.isfinite(s) else None for s in one.scores] for one in found]
    scores = pa.array(numbers, pa.list_(pa.float32()))
    return pa.RecordBatch.from_arrays([lists, scores], names)
