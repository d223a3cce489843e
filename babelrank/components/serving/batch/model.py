"""The model of a batch of predictions: loaded once, asked about files of every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from babelrank.components.ingest.blocks import Block, Rows
from babelrank.components.serving import model_folder
from babelrank.components.serving.batch.config import LINE, ROW, TFRECORD, BatchConfig
from babelrank.components.serving.batch.lines import LinesOfText, output_names
from babelrank.components.serving.model_lines import LinesDescription
from babelrank.components.serving.model_rows import RowsDescription
from babelrank.components.serving.translate import check_nbest

if TYPE_CHECKING:
    from babelrank.components.serving.predict import Predictor
    from babelrank.components.serving.translate import Translator

RANKING, TRANSLATION = "ranking", "translation"
ROWS_PER_SHARD = {RANKING: 200_000, TRANSLATION: 5_000}


class Asked(Protocol):
    """What can be asked about files of one format."""

    def blocks(self, path: str) -> Iterator[Block]:
        """The blocks of a file."""

    def answer(self, block: Block) -> Rows:
        """Columns of answers to the good rows of a block, and its bad rows."""


class BatchModel:
    """A loaded model.

    Args:
        path: Folder of the SavedModel.
        config: How to ask it.

    Raises:
        ModelError: There is no model that BabelRank exported.
    """

    def __init__(self, path: str, config: BatchConfig) -> None:
        self._config = config
        self.task = model_folder.task_of(Path(path))
        if self.task == TRANSLATION:
            from babelrank.components.serving.translate import Translator

            self._model: Translator | Predictor = Translator(Path(path))
            self._own: Asked = LinesOfText(self._model, config)
        else:
            from babelrank.components.serving.batch.rows import RowsOfTables
            from babelrank.components.serving.predict import Predictor

            self._model = Predictor(Path(path))
            self._own = RowsOfTables(self._model, config)

    def asked(self, path: str) -> Asked:
        """What a file is asked by."""
        if self._config.format_of(path, self.task) != TFRECORD:
            return self._own
        from babelrank.components.serving.batch.examples import Examples

        return Examples(self._model, self._config)


def check(model: Path, config: BatchConfig) -> str:
    """The task of a model that can be asked so, without loading it.

    Raises:
        ModelError: There is no model that BabelRank exported.
        ConfigError: A setting means nothing to it.
    """
    task = model_folder.task_of(model)
    if task == TRANSLATION:
        about = LinesDescription.load(model)
        outputs = output_names(about, config.nbest is not None)
        if config.nbest is not None:
            check_nbest(about, config.nbest)
    else:
        outputs = (RowsDescription.load(model).output,)
    config.check(task, (numbering(task), *outputs))
    return task


def numbering(task: str) -> str:
    """Name of the column with the numbers of rows or lines."""
    return LINE if task == TRANSLATION else ROW
