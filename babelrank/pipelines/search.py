"""The search: keras-tuner's Oracles propose trials, a function trains them, a journal keeps them.

keras-tuner's own `Tuner` takes Keras 3 models only, so the loop is ours. Its Oracles also save
themselves, but in several files one after the other, and a process that is killed between two of
them loses a trial. They are deterministic, though: here an interrupted search asks a new Oracle
the same questions and gives it the answers that the journal holds.

Random search: Bergstra and Bengio, https://jmlr.org/papers/v13/bergstra12a.html. Hyperband: Li et
al., http://jmlr.org/papers/v18/16-558.html; it trains many trials for a short time, goes on with
the best third of them for longer, and so on.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from babelrank.components.errors import BabelRankError, ConfigError, DivergedError
from babelrank.pipelines.budget import FACTOR
from babelrank.pipelines.journal import COMPLETED, FAILED, INVALID, Journal, Status, Trial
from babelrank.pipelines.search_space import Choice, Numbers, Space

Method = Literal["random", "hyperband"]

TRIALS = 20
"""Trials of a random search, unless another number is asked for."""

MAX_FAILURES = 3
"""So many trials without a result, one after the other, end a search."""

_TUNER = "babelrank"


class TrialError(BabelRankError):
    """A trial cannot be finished, such as for lack of memory; the search goes on without it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a space is searched.

    Attributes:
        method: "random" or "hyperband".
        metric: Metric of the eval split.
        mode: "max" if more of it is better, or "min".
        seed: Seed of the proposals, 1 or more.
        trials: Trials at the most; None: `TRIALS` of a random search, all of Hyperband's.
        max_epochs: Where Hyperband's longest trials end; None for a random search.
    """

    method: Method
    metric: str
    mode: str
    seed: int = 42
    trials: int | None = None
    max_epochs: int | None = None

    @property
    def limit(self) -> int | None:
        """Trials at the most, or None."""
        return self.trials or (TRIALS if self.method == "random" else None)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial that is to be run.

    Attributes:
        number: From 1.
        values: By dotted key of the configuration.
        epochs: Where it ends, by Hyperband; None: where the configuration says.
        begins: Where it begins: where the trial that it goes on from ended, or 0.
        continues: Number of that trial, or None.
    """

    number: int
    values: dict[str, Any]
    epochs: int | None = None
    begins: int = 0
    continues: int | None = None

    @property
    def cost(self) -> int:
        """What it takes, against others of the same search."""
        return 1 if self.epochs is None else self.epochs - self.begins


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training came to; see `Trial`."""

    metrics: dict[str, float | None]
    best_step: int | None
    steps: int
    stopped_early: str | None = None


class Oracle:
    """keras-tuner's Oracle of a plan, asked for one trial after the other; a context manager."""

    def __init__(self, space: Space, plan: Plan) -> None:
        self._space, self._plan = space, plan
        self._folder = tempfile.TemporaryDirectory(prefix="babelrank-oracle-")
        self._oracle = _oracle(space, plan)
        # It writes down all that it is told, whether it is to be read again or not.
        self._oracle._set_project_dir(self._folder.name, "search")
        self._trial: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def ask(self) -> Proposal | None:
        """The next trial; None when the search is over. `tell` must be called in between."""
        self._trial = self._oracle.create_trial(_TUNER)
        if self._trial.status != "RUNNING":
            return None
        samples = self._trial.hyperparameters.values
        before = samples.get("tuner/trial_id")
        return Proposal(
            number=int(self._trial.trial_id) + 1,
            values=self._space.values(samples),
            epochs=samples.get("tuner/epochs"),
            begins=samples.get("tuner/initial_epoch", 0),
            continues=None if before is None else int(before) + 1,
        )

    def tell(self, trial: Trial) -> None:
        """What the trial came to that was asked for last."""
        if trial.status == COMPLETED:
            metrics = {self._plan.metric: trial.metric}
            self._oracle.update_trial(self._trial.trial_id, metrics)
        self._trial.status = "COMPLETED" if trial.status == COMPLETED else "FAILED"
        self._oracle.end_trial(self._trial)


def costs(space: Space, plan: Plan) -> list[int]:
    """The costs of all trials of a search, if none fails; their number is that of the trials."""
    found = []
    with Oracle(space, plan) as oracle:
        while (proposal := oracle.ask()) is not None:
            found.append(proposal.cost)
            done = Trial(
                number=proposal.number, values=proposal.values, status=COMPLETED, metric=0.0
            )
            oracle.tell(done)
    return found


def search(
    oracle: Oracle,
    journal: Journal,
    metric: str,
    train: Callable[[Proposal], Trained],
    begins: Callable[[Proposal], None],
    ended: Callable[[Proposal, Trial, float], None],
) -> None:
    """Runs the trials that the journal does not hold yet.

    Args:
        oracle: A new one, which has not been asked yet.
        journal: The trials so far; each one is added as it ends.
        metric: Metric that is searched by.
        train: Trains a trial, or goes on with one that was interrupted. A ConfigError makes it
            invalid, a DivergedError or TrialError failed; other errors end the search.
        begins: Told of a trial that begins, or goes on after an interruption.
        ended: Told of a trial that has ended and is in the journal, and of the seconds since it
            began or went on.

    Raises:
        ConfigError: The journal holds other values than the oracle proposes.
        BabelRankError: `MAX_FAILURES` trials did not complete, one after the other.
    """
    if journal.failures() >= MAX_FAILURES:  # what was wrong may be right by now
        journal.forget_failures()
    while (proposal := oracle.ask()) is not None:
        trial = journal.find(proposal.number)
        if trial is None:
            begins(proposal)
            begun = time.monotonic()
            trial = _attempt(proposal, metric, train)
            journal.add(trial)
            ended(proposal, trial, time.monotonic() - begun)
        elif trial.values != proposal.values:
            raise ConfigError(
                f"{journal.path}: trial {trial.number} has the values {trial.values}, but this "
                f"version of keras-tuner proposes {proposal.values}; choose another --out."
            )
        oracle.tell(trial)
        _check_failures(journal)


def _attempt(proposal: Proposal, metric: str, train: Callable[[Proposal], Trained]) -> Trial:
    begun = time.monotonic()
    values: dict[str, Any] = {
        "number": proposal.number,
        "values": proposal.values,
        "epochs": proposal.epochs,
        "continues": proposal.continues,
    }

    def ended(status: Status, **more: Any) -> Trial:
        seconds = round(time.monotonic() - begun, 3)
        return Trial(status=status, seconds=seconds, **values, **more)

    try:
        trained = train(proposal)
    except ConfigError as error:
        return ended(INVALID, error=str(error))
    except (DivergedError, TrialError) as error:
        return ended(FAILED, error=str(error))
    figures = {"steps": trained.steps, "stopped_early": trained.stopped_early}
    value = trained.metrics.get(metric)
    if value is None:
        return ended(FAILED, error=f"{metric} was never a number", **figures)
    return ended(
        COMPLETED, metric=value, metrics=trained.metrics, best_step=trained.best_step, **figures
    )


def _check_failures(journal: Journal) -> None:
    if journal.failures() < MAX_FAILURES:
        return
    said = "".join(f"\n  trial {t.number}: {t.error}" for t in journal.trials[-MAX_FAILURES:])
    raise BabelRankError(
        f"{MAX_FAILURES} trials in a row came to nothing, so the search ends:{said}\n"
        "The same command tries them again; another space needs another --out."
    )


def _oracle(space: Space, plan: Plan) -> Any:
    # Only here: it imports Keras 3, beside the tf_keras that everything else uses.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras_tuner

    parameters = keras_tuner.HyperParameters()
    for key, dimension in space.dimensions.items():
        _add(parameters, key, dimension)
    common = {
        "objective": keras_tuner.Objective(plan.metric, plan.mode),
        "hyperparameters": parameters,
        "seed": _spread(plan.seed),
        "tune_new_entries": False,
        "allow_new_entries": False,
        "max_consecutive_failed_trials": None,  # counted here, across interruptions
    }
    if plan.method == "random":
        oracle = keras_tuner.oracles.RandomSearchOracle(**common, max_trials=plan.limit)
    else:
        oracle = keras_tuner.oracles.HyperbandOracle(
            **common, max_epochs=plan.max_epochs, factor=FACTOR
        )
        oracle.max_trials = plan.limit
    oracle.verbose = 0
    return oracle


def _spread(seed: int) -> int:
    """A seed far from those of other searches.

    keras-tuner draws the values one by one from the seeds n, n + 1, n + 2 and so on, so that
    searches with neighbouring seeds would mostly try the same trials.
    """
    return random.Random(seed).getrandbits(32) | 1  # 0 means any seed to it


def _add(parameters: Any, key: str, dimension: Choice | Numbers) -> None:
    """Names a key and its samples to the oracle."""
    if isinstance(dimension, Choice):
        # By index: its own choices hold one type only, make numbers of true and false, and know
        # neither lists nor null.
        parameters.Int(key, 0, len(dimension.values) - 1)
        return
    numbers = dimension.range
    add = parameters.Int if dimension.whole else parameters.Float
    add(key, numbers.min, numbers.max, step=numbers.step, sampling=numbers.scale)
