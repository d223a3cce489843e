"""Tests of the search with trials that only pretend to train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from babelrank.components.errors import (
    BabelRankError,
    CheckpointError,
    ConfigError,
    DivergedError,
)
from babelrank.pipelines.journal import Journal, Trial
from babelrank.pipelines.search import Oracle, Plan, Proposal, Trained, TrialError, costs, search
from babelrank.pipelines.search_space import Choice, Numbers, Range, Space

RATE, DIM = "training.optimizer.learning_rate", "model.embedding_dim"
SPACE = Space(
    {
        RATE: Numbers(Range(min=1e-4, max=1e-2, scale="log"), False),
        DIM: Choice((8, 16, None)),
    }
)
RANDOM = Plan(method="random", metric="auc", mode="max", trials=6)
HYPERBAND = Plan(method="hyperband", metric="auc", mode="max", max_epochs=9)
IDENTITY = {"mode": "max", "space": SPACE.plain()}


class Killed(BaseException):
    """As if the process were gone."""


def score(proposal: Proposal) -> float:
    """Larger for larger learning rates, and a little for more epochs."""
    return float(proposal.values[RATE]) + 1e-6 * (proposal.epochs or 0)


class Trainer:
    """Pretends to train; `events` says what happens instead, by number of the trial."""

    def __init__(self, events: dict[int, BaseException] | None = None) -> None:
        self.events = events or {}
        self.trained: list[Proposal] = []

    def __call__(self, proposal: Proposal) -> Trained:
        self.trained.append(proposal)
        if proposal.number in self.events:
            raise self.events[proposal.number]
        return Trained(metrics={"auc": score(proposal), "loss": None}, best_step=3, steps=5)


def run(
    path: Path, plan: Plan, train: Callable[[Proposal], Trained], told: list[str] | None = None
) -> list[Trial]:
    """The trials without their times, of one call."""
    told = [] if told is None else told
    journal = Journal(path, IDENTITY)
    with Oracle(SPACE, plan) as oracle:
        search(
            oracle,
            journal,
            "auc",
            train,
            lambda proposal: told.append(f"begins {proposal.number}"),
            lambda proposal, trial, seconds: told.append(f"{trial.status} {proposal.number}"),
        )
    return untimed(Journal(path, IDENTITY))


def untimed(journal: Journal) -> list[Trial]:
    return [Trial(**{**vars(trial), "seconds": 0.0}) for trial in journal.trials]


def proposals(plan: Plan) -> list[Proposal]:
    train = Trainer()
    with Oracle(SPACE, plan) as oracle:
        while (proposal := oracle.ask()) is not None:
            train(proposal)
            done = Trial(
                number=proposal.number,
                values=proposal.values,
                status="completed",
                metric=score(proposal),
            )
            oracle.tell(done)
    return train.trained


def test_random_values_lie_in_the_space():
    found = proposals(Plan(method="random", metric="auc", mode="max", trials=40))
    assert [proposal.number for proposal in found] == list(range(1, 41))
    rates = [proposal.values[RATE] for proposal in found]
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-2
    assert 10 < sum(rate < 1e-3 for rate in rates) < 30  # half of them, by the logarithm
    assert {proposal.values[DIM] for proposal in found} == {8, 16, None}
    assert {(p.epochs, p.begins, p.continues) for p in found} == {(None, 0, None)}


def test_the_seed_decides():
    plans = [Plan(method="random", metric="auc", mode="max", trials=6, seed=n) for n in (1, 2, 3)]
    first, second, third = (proposals(plan) for plan in plans)
    assert first == proposals(plans[0])
    rates = [{p.values[RATE] for p in found} for found in (first, second, third)]
    assert not rates[0] & rates[1]  # nor is one the other, a trial later
    assert not rates[0] & rates[2]


def test_more_trials_begin_with_the_same():
    more = Plan(method="random", metric="auc", mode="max", trials=8)
    assert proposals(more)[:6] == proposals(RANDOM)


def test_a_small_space_is_exhausted():
    space = Space({DIM: Choice((8, 16))})
    assert costs(space, Plan(method="random", metric="auc", mode="max", trials=9)) == [1, 1]


def test_hyperband_goes_on_with_the_best():
    found = proposals(HYPERBAND)
    # Brackets of 9 epochs and a factor of 3: 9 trials for 1 epoch, 3 of them for 3, 1 for 9;
    # then 5 for 3 epochs, 2 of them for 9; then 3 for 9.
    first = found[:9]
    assert {(p.epochs, p.begins, p.continues) for p in first} == {(1, 0, None)}
    best = sorted(first, key=score, reverse=True)[:3]
    second = found[9:12]
    assert [p.continues for p in second] == [p.number for p in best]
    assert [p.values for p in second] == [p.values for p in best]
    assert {(p.epochs, p.begins) for p in second} == {(3, 1)}
    assert [(p.epochs, p.begins, p.continues) for p in found[12:13]] == [(9, 3, 10)]
    later = [(p.epochs, p.begins) for p in found[13:]]
    assert later == [(3, 0)] * 5 + [(9, 3)] * 2 + [(9, 0)] * 3
    assert costs(SPACE, HYPERBAND) == [p.cost for p in found]
    assert sum(p.cost for p in found) == 9 * 1 + 3 * 2 + 6 + 5 * 3 + 2 * 6 + 3 * 9


def test_less_can_be_better():
    plan = Plan(method="hyperband", metric="loss", mode="min", max_epochs=3)
    found = proposals(plan)
    worst = max(found[:3], key=score)
    assert found[3].continues not in (None, worst.number)
    assert found[3].values == min(found[:3], key=score).values


def test_hyperband_can_be_cut_short():
    plan = Plan(method="hyperband", metric="auc", mode="max", max_epochs=9, trials=4)
    assert proposals(plan) == proposals(HYPERBAND)[:4]


@pytest.mark.parametrize("plan", [RANDOM, HYPERBAND], ids=["random", "hyperband"])
def test_a_killed_search_goes_on(tmp_path: Path, plan: Plan):
    whole = Trainer()
    expected = run(tmp_path / "whole.json", plan, whole)
    for number in {1, *range(2, len(expected), 4), len(expected)}:
        path = tmp_path / f"{number}.json"
        first = Trainer({number: Killed()})
        with pytest.raises(Killed):
            run(path, plan, first)
        second, told = Trainer(), []
        assert run(path, plan, second, told) == expected
        assert first.trained + second.trained[1:] == whole.trained
        assert second.trained[0] == first.trained[-1]  # again, from its own checkpoint
        assert told[:2] == [f"begins {number}", f"completed {number}"]


def test_a_finished_search_trains_nothing(tmp_path: Path):
    expected = run(tmp_path / "trials.json", RANDOM, Trainer())
    again = Trainer()
    assert run(tmp_path / "trials.json", RANDOM, again) == expected
    assert again.trained == []
    more = Plan(method="random", metric="auc", mode="max", trials=7)
    assert run(tmp_path / "trials.json", more, again)[:6] == expected
    assert [proposal.number for proposal in again.trained] == [7]


def test_trials_without_a_result_are_left_behind(tmp_path: Path):
    class Never(Trainer):
        def __call__(self, proposal: Proposal) -> Trained:
            if proposal.number == 6:
                return Trained(metrics={}, best_step=None, steps=5)
            return super().__call__(proposal)

    events: dict[int, BaseException] = {
        2: DivergedError("step 3: the loss is nan."),
        3: ConfigError("model.bottom_stack: no."),
        5: TrialError("not enough memory"),
    }
    told: list[str] = []
    trials = run(tmp_path / "trials.json", RANDOM, Never(events), told)
    assert [(trial.status, trial.error) for trial in trials] == [
        ("completed", None),
        ("failed", "step 3: the loss is nan."),
        ("invalid", "model.bottom_stack: no."),
        ("completed", None),
        ("failed", "not enough memory"),
        ("failed", "auc was never a number"),
    ]
    assert trials[0].metrics == {"auc": trials[0].metric, "loss": None}
    assert told[2:4] == ["begins 2", "failed 2"]


def test_failed_trials_do_not_stop_hyperband(tmp_path: Path):
    train = Trainer({1: DivergedError("nan"), 3: DivergedError("nan")})
    trials = run(tmp_path / "trials.json", HYPERBAND, train)
    continued = {trial.continues for trial in trials} - {None}
    assert continued
    assert not continued & {1, 3}
    assert max(trial.epochs or 0 for trial in trials if trial.status == "completed") == 9


def test_three_failures_in_a_row_end_the_search_until_the_next_call(tmp_path: Path):
    path = tmp_path / "trials.json"
    failing: dict[int, BaseException] = {n: DivergedError(f"nan {n}") for n in (2, 3, 4)}
    first = Trainer(failing)
    with pytest.raises(BabelRankError, match=r"(?s)3 trials in a row came to nothing.*: nan 4\n"):
        run(path, RANDOM, first)
    assert [proposal.number for proposal in first.trained] == [1, 2, 3, 4]
    second = Trainer()
    trials = run(path, RANDOM, second)
    assert [proposal.number for proposal in second.trained] == [2, 3, 4, 5, 6]
    assert {trial.status for trial in trials} == {"completed"}


def test_other_errors_end_the_search_and_the_trial_is_tried_again(tmp_path: Path):
    path = tmp_path / "trials.json"
    with pytest.raises(CheckpointError, match="disk full"):
        run(path, RANDOM, Trainer({3: CheckpointError("disk full")}))
    assert [trial.number for trial in Journal(path, IDENTITY).trials] == [1, 2]
    again = Trainer()
    run(path, RANDOM, again)
    assert [proposal.number for proposal in again.trained] == [3, 4, 5, 6]


def test_a_journal_of_other_values_is_refused(tmp_path: Path):
    path = tmp_path / "trials.json"
    Journal(path, IDENTITY).add(
        Trial(number=1, values={RATE: 1.0, DIM: 8}, status="completed", metric=0.5)
    )
    with pytest.raises(ConfigError, match="trial 1 has the values .* version of keras-tuner"):
        run(path, RANDOM, Trainer())
