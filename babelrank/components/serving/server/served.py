"""A model under its name: the version that answers now, and the change to the next one.

A request is answered by one version from its beginning to its end. A change waits for nobody: new
requests go to the new version at once, and the old one is let go when its last request is answered.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from babelrank.components.serving.server.batcher import Batcher
from babelrank.components.serving.server.form import Form
from babelrank.components.serving.server.loaded import Loaded
from babelrank.components.serving.server.metrics import Metrics
from babelrank.components.serving.server.refusals import NotReady
from babelrank.components.serving.server.requests import Question
from babelrank.components.serving.server.settings import Limits


@dataclass(eq=False)
class _Turn:
    """A version, its queue, and how many requests it has under way."""

    loaded: Loaded
    batcher: Batcher
    under_way: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Served:
    """A model that is served.

    Args:
        name: Its name, in addresses.
        limits: Of requests.
        metrics: Where figures go.
    """

    def __init__(self, name: str, limits: Limits, metrics: Metrics) -> None:
        self.name, self._limits, self._metrics = name, limits, metrics
        self._turn: _Turn | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.trouble = ""
        """Why the newest version is not the one that answers; empty: it is."""

    @property
    def loaded(self) -> Loaded | None:
        """The version that answers now; None: there is none yet."""
        return self._turn.loaded if self._turn else None

    @property
    def waiting(self) -> int:
        """Rows or lines that wait."""
        return self._turn.batcher.waiting if self._turn else 0

    @property
    def form(self) -> Form:
        """How the version that answers now is asked.

        Raises:
            NotReady: There is none yet.
        """
        return self._now().loaded.form

    async def ask(self, question: Question) -> tuple[list[Any], Loaded]:
        """The answer to each item of a question, and the version that gave them.

        Raises:
            Refusal: No version is loaded, too much waits, or it takes too long.
        """
        turn = self._now()
        turn.under_way += 1
        try:
            form = turn.loaded.form
            pieces = form.pieces(question)
            answers = [form.nothing(item) for item in question.items]
            found = await turn.batcher.ask(
                [piece for _, piece in pieces], self._limits.deadline_seconds
            )
            for (rows, _), part in zip(pieces, found, strict=True):
                for row, answer in zip(rows, part, strict=True):
                    answers[row] = answer
            return answers, turn.loaded
        finally:
            turn.under_way -= 1
            if not turn.under_way:
                turn.idle.set()

    def change(self, loaded: Loaded) -> None:
        """Lets a version answer from now on."""
        form = loaded.form
        batcher = Batcher(
            loaded.run,
            max_batch=form.max_batch,
            max_cells=form.max_cells,
            max_delay=self._limits.max_delay_ms / 1000,
            max_queue=self._limits.max_queue,
            observed=lambda size: self._metrics.batch(self.name, size),
        )
        old, self._turn = self._turn, _Turn(loaded, batcher)
        if old is not None:
            task = asyncio.get_running_loop().create_task(self._end(old))
            self._ending.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Ends, once everything under way is answered."""
        endings: Sequence[asyncio.Task[None]] = list(self._ending)
        await asyncio.gather(*endings)
        if self._turn is not None:
            await self._end(self._turn)
            self._turn = None

    async def _end(self, turn: _Turn) -> None:
        while turn.under_way:
            turn.idle.clear()
            await turn.idle.wait()
        await turn.batcher.close()
        turn.batcher, turn.loaded = None, None  # type: ignore[assignment]
        await asyncio.to_thread(gc.collect)  # TensorFlow's objects point at each other

    def _now(self) -> _Turn:
        if self._turn is None:
            raise NotReady(f"{self.name}: no version is loaded yet; try again in some seconds.")
        return self._turn
