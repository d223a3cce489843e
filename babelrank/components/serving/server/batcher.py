"""Joins requests that come at the same time, so that they go through a model together.

A request is cut into pieces. The oldest piece that waits opens a batch; pieces for the same door of
the model join it, those of like width first, since a batch costs what its widest piece makes of it.
While a batch is being answered others wait, so the batches grow with the load by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from babelrank.components.serving.server.refusals import Overloaded, TooLate


@dataclass(eq=False)
class Piece:
    """Part of a request that goes through the model in one batch.

    Attributes:
        door: Name of the door that it goes through; a batch has one.
        size: Rows or lines in it.
        width: Characters of the longest one; 0 where width costs nothing.
        content: What the door takes.
        answer: What comes back, once it is there.
        arrived: Time of the event loop, in seconds.
    """

    door: str
    size: int
    width: int
    content: Any
    answer: asyncio.Future[Any] = field(init=False)
    arrived: float = field(init=False)


Run = Callable[[str, Sequence[Any]], Sequence[Any]]
"""Answers the contents of pieces, in order; called in a thread of its own, one batch at a time."""


class Batcher:
    """The queue of one model.

    Args:
        run: Asks the model.
        max_batch: Most rows or lines of a batch.
        max_cells: Most rows or lines times width of a batch of several pieces.
        max_delay: Seconds that a piece waits for others while nothing else is being done.
        max_queue: Rows or lines that may wait.
        observed: Called with the rows or lines of each batch.
    """

    def __init__(
        self,
        run: Run,
        *,
        max_batch: int,
        max_cells: int,
        max_delay: float,
        max_queue: int,
        observed: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._run, self._observed = run, observed
        self._max_batch, self._max_cells = max_batch, max_cells
        self._max_delay, self._max_queue = max_delay, max_queue
        self._waiting: list[Piece] = []
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Rows or lines that wait, and that somebody still waits for."""
        return sum(piece.size for piece in self._waiting if not piece.answer.done())

    async def ask(self, pieces: Sequence[Piece], deadline: float) -> list[Any]:
        """The answers to the pieces of one request, in order.

        Args:
            pieces: None larger than a batch.
            deadline: Seconds that it may take.

        Raises:
            Overloaded: Too much waits already.
            TooLate: The answer did not come in time.
        """
        size = sum(piece.size for piece in pieces)
        if self._waiting and self.waiting + size > self._max_queue:
            raise Overloaded(
                f"{self.waiting:,} rows or lines wait already, and {self._max_queue:,} may. "
                "Try again in a second, or start more servers."
            )
        loop = asyncio.get_running_loop()
        if self._task is None:
            self._task = loop.create_task(self._work())
        for piece in pieces:
            piece.answer, piece.arrived = loop.create_future(), loop.time()
        self._waiting.extend(pieces)
        self._arrived.set()
        try:
            async with asyncio.timeout(deadline):
                return list(await asyncio.gather(*(piece.answer for piece in pieces)))
        except TimeoutError:
            raise TooLate(
                f"no answer within {deadline:g} s; send fewer or shorter rows or lines, or "
                "start the server with a longer --deadline-seconds."
            ) from None
        finally:  # nobody waits for the others any more: they need not be computed
            for piece in pieces:
                piece.answer.cancel()

    async def close(self) -> None:
        """Ends; nothing may be asked any more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown(wait=False)

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            await self._gather()
            batch = self._next()
            if not batch:
                self._arrived.clear()
                continue
            self._observed(sum(piece.size for piece in batch))
            await self._answer(batch)

    async def _answer(self, batch: Sequence[Piece]) -> None:
        loop = asyncio.get_running_loop()
        contents = [piece.content for piece in batch]
        try:
            answers = await loop.run_in_executor(self._thread, self._run, batch[0].door, contents)
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) > 1:  # one bad request must not spoil the others
                for piece in batch:
                    if not piece.answer.done():  # others need not be computed
                        await self._answer([piece])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for piece, answer in answered:
            if not piece.answer.done():  # nobody waits for it any more
                piece.answer.set_result(answer)

    async def _gather(self) -> None:
        """Waits for more, unless the oldest has waited its time or a batch is full."""
        loop = asyncio.get_running_loop()
        while self._waiting and self.waiting < self._max_batch:
            left = self._waiting[0].arrived + self._max_delay - loop.time()
            if left <= 0:
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(left):
                    await self._arrived.wait()
            except TimeoutError:
                self._arrived.set()
                return

    def _next(self) -> list[Piece]:
        """Takes the pieces of the next batch from the queue."""
        self._waiting = [piece for piece in self._waiting if not piece.answer.done()]
        if not self._waiting:
            return []
        first = self._waiting[0]
        like = [piece for piece in self._waiting[1:] if piece.door == first.door]
        batch, size, width = [first], first.size, first.width
        for piece in sorted(like, key=lambda piece: abs(piece.width - first.width)):
            widest = max(width, piece.width)
            total = size + piece.size
            if total <= self._max_batch and total * widest <= self._max_cells:
                batch.append(piece)
                size, width = total, widest
        chosen = set(map(id, batch))
        self._waiting = [piece for piece in self._waiting if id(piece) not in chosen]
        return batch
