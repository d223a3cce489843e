"""Tests of the queue: what is joined, what waits, and what is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from babelrank.components.serving.server.batcher import Batcher, Piece
from babelrank.components.serving.server.refusals import Overloaded, TooLate


class Model:
    """Doubles numbers, notes each batch, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.doors: list[str] = []
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def run(self, door: str, contents: Sequence[list[int]]) -> list[list[int]]:
        self.entered.set()
        self.free.wait(60)
        numbers = [number for content in contents for number in content]
        self.batches.append(numbers)
        self.doors.append(door)
        if 13 in numbers:
            raise RuntimeError("unlucky")
        return [[2 * number for number in content] for content in contents]


def piece(*numbers: int, door: str = "double", width: int = 1) -> Piece:
    return Piece(door, len(numbers), width, list(numbers))


def batcher(model: Model, **changes: Any) -> Batcher:
    given = {"max_batch": 4, "max_cells": 100, "max_delay": 0.02, "max_queue": 8}
    return Batcher(model.run, **{**given, **changes})


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


async def held(model: Model, queue: Batcher) -> asyncio.Task[list[Any]]:
    """Occupies the model until it is set free."""
    model.free.clear()
    task = asyncio.create_task(queue.ask([piece(0)], 5))
    while not model.entered.is_set():
        await asyncio.sleep(0.001)
    return task


def test_requests_that_come_together_are_joined():
    async def scene() -> None:
        model = Model()
        queue = batcher(model)

        found = await asyncio.gather(*(queue.ask([piece(n)], 5) for n in (1, 2, 3)))

        assert found == [[[2]], [[4]], [[6]]]
        assert model.batches == [[1, 2, 3]]
        await queue.close()

    play(scene)


def test_a_full_batch_does_not_wait():
    async def scene() -> None:
        model = Model()
        queue = batcher(model, max_delay=1000)

        found = await asyncio.wait_for(queue.ask([piece(1, 2), piece(3, 4)], 5), 2)

        assert found == [[2, 4], [6, 8]]
        assert model.batches == [[1, 2, 3, 4]]
        await queue.close()

    play(scene)


def test_what_comes_while_the_model_is_busy_is_joined():
    async def scene() -> None:
        model = Model()
        queue = batcher(model, max_delay=0)
        first = await held(model, queue)
        others = [asyncio.create_task(queue.ask([piece(n)], 5)) for n in (1, 2, 3, 4, 5)]
        await asyncio.sleep(0)  # so that they are in the queue
        model.free.set()

        await asyncio.gather(first, *others)

        assert model.batches == [[0], [1, 2, 3, 4], [5]]
        await queue.close()

    play(scene)


def test_like_widths_are_joined_first_and_wide_ones_not_at_all():
    async def scene() -> None:
        model = Model()
        queue = batcher(model, max_delay=0, max_cells=40)
        first = await held(model, queue)
        asked = [(1, 5), (2, 30), (3, 19), (4, 6), (5, 4)]
        tasks = [asyncio.create_task(queue.ask([piece(n, width=w)], 5)) for n, w in asked]
        await asyncio.sleep(0)  # so that they are in the queue
        model.free.set()

        await asyncio.gather(first, *tasks)

        assert model.batches[1:] == [[1, 4, 5], [2], [3]]
        await queue.close()

    play(scene)


def test_each_batch_goes_through_one_door():
    async def scene() -> None:
        model = Model()
        queue = batcher(model)

        doors = ("a", "b", "a")
        await asyncio.gather(*(queue.ask([piece(n, door=d)], 5) for n, d in enumerate(doors)))

        assert (model.doors, model.batches) == (["a", "b"], [[0, 2], [1]])
        await queue.close()

    play(scene)


def test_a_failure_is_that_of_one_request():
    async def scene() -> None:
        model = Model()
        queue = batcher(model)

        found = await asyncio.gather(
            *(queue.ask([piece(n)], 5) for n in (1, 13, 3)), return_exceptions=True
        )

        assert found[0] == [[2]] and found[2] == [[6]]
        assert str(found[1]) == "unlucky"
        await queue.close()

    play(scene)


def test_a_model_that_answers_too_little_fails_and_the_queue_goes_on():
    async def scene() -> None:
        model = Model()
        queue = Batcher(
            lambda door, contents: [] if [13] in contents else model.run(door, contents),
            max_batch=4,
            max_cells=100,
            max_delay=0.02,
            max_queue=8,
        )

        found = await asyncio.gather(
            *(queue.ask([piece(n)], 5) for n in (1, 13)), return_exceptions=True
        )

        assert found[0] == [[2]] and isinstance(found[1], ValueError)
        assert await queue.ask([piece(2)], 5) == [[4]]
        await queue.close()

    play(scene)


def test_after_a_failure_what_nobody_waits_for_is_not_computed():
    async def scene() -> None:
        model, given_up = Model(), threading.Event()

        def run(door: str, contents: Sequence[list[int]]) -> list[list[int]]:
            if len(contents) > 1:
                given_up.wait(60)
            return model.run(door, contents)

        queue = Batcher(run, max_batch=4, max_cells=100, max_delay=0.02, max_queue=8)
        asked = [
            asyncio.create_task(queue.ask([piece(n)], deadline))
            for n, deadline in ((13, 60), (1, 1), (2, 60))
        ]
        with pytest.raises(TooLate):
            await asked[1]
        given_up.set()
        found = await asyncio.gather(asked[0], asked[2], return_exceptions=True)

        assert (str(found[0]), found[1]) == ("unlucky", [[4]])
        assert model.batches == [[13, 1, 2], [13], [2]]
        await queue.close()

    play(scene)


def test_too_much_waiting_is_refused():
    async def scene() -> None:
        model = Model()
        queue = batcher(model, max_queue=3)
        first = await held(model, queue)
        second = asyncio.create_task(queue.ask([piece(1, 2)], 5))
        await asyncio.sleep(0)  # so that they are in the queue

        with pytest.raises(Overloaded, match="2 rows or lines wait already, and 3 may"):
            await queue.ask([piece(3, 4)], 5)

        model.free.set()
        await asyncio.gather(first, second)
        assert queue.waiting == 0
        await queue.close()

    play(scene)


def test_what_comes_too_late_is_refused_and_not_computed():
    async def scene() -> None:
        model = Model()
        queue = batcher(model, max_delay=0)
        first = await held(model, queue)

        with pytest.raises(TooLate, match="no answer within 0.05 s"):
            await queue.ask([piece(1)], 0.05)

        model.free.set()
        await first
        assert await queue.ask([piece(2)], 5) == [[4]]
        assert model.batches == [[0], [2]]
        await queue.close()

    play(scene)
