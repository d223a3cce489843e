"""The trials of a search on disk: `trials.json`, from which an interrupted search goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from babelrank.components import durable
from babelrank.components.config import from_dict, to_dict
from babelrank.components.errors import ConfigError, InputError

Status = Literal["completed", "failed", "invalid"]
COMPLETED: Status = "completed"
FAILED: Status = "failed"
INVALID: Status = "invalid"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one trial came to.

    Attributes:
        number: From 1, in the order of the search.
        values: By dotted key of the configuration.
        status: "completed"; "failed" (such as a loss that is no number); "invalid": the values do
            not fit each other.
        metric: The best value of the metric that is searched by.
        metrics: All metrics of the eval split at that step.
        best_step: That step.
        steps: Steps trained, those of the trial that it goes on from included.
        seconds: Time of the call that finished it.
        epochs: Where hyperband let it end, counted from the start; see `budget`.
        continues: Number of the trial that it goes on from.
        stopped_early: Why it ended before, or None.
        error: Why it did not complete, or None.
    """

    number: int
    values: dict[str, Any]
    status: Status
    metric: float | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    best_step: int | None = None
    steps: int = 0
    seconds: float = 0.0
    epochs: int | None = None
    continues: int | None = None
    stopped_early: str | None = None
    error: str | None = None


class Journal:
    """The trials that have ended.

    The file is complete or as it was before: it is replaced as a whole, after each trial.

    Args:
        path: `trials.json`.
        search: What the trials have in common, as JSON has it. The journal of another search is
            refused.

    Attributes:
        trials: In the order of their numbers.

    Raises:
        ConfigError: The file is of another search.
        InputError: The file is no journal.
    """

    def __init__(self, path: Path, search: Mapping[str, Any]) -> None:
        self.path = path
        self.search = json.loads(json.dumps(search))
        self.trials: list[Trial] = []
        if path.exists():
            self._read()
        self._write()

    def _read(self) -> None:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            before, trials = data["search"], [from_dict(Trial, t) for t in data["trials"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: holds no trials of a search ({error!r}). Remove it, or choose "
                "another --out."
            ) from error
        for name, now in self.search.items():
            if before.get(name) != now:
                raise ConfigError(
                    f"{self.path}: is of another search: {_difference(name, before, self.search)}. "
                    "Take back the change, or choose another --out."
                )
        self.trials = trials

    def add(self, trial: Trial) -> None:
        """Notes that a trial has ended."""
        self.trials.append(trial)
        self._write()

    def find(self, number: int) -> Trial | None:
        """The trial of a number, if it has ended."""
        return self.trials[number - 1] if number <= len(self.trials) else None

    def failures(self) -> int:
        """How many of the last trials did not complete, in a row."""
        ended = [i for i, trial in enumerate(self.trials) if trial.status == COMPLETED]
        return len(self.trials) - 1 - (ended[-1] if ended else -1)

    def forget_failures(self) -> None:
        """Takes back the last trials that did not complete, in a row."""
        del self.trials[len(self.trials) - self.failures() :]
        self._write()

    def ranked(self) -> list[Trial]:
        """The completed trials, the best one first; of equal ones the earlier one."""
        sign = -1 if self.search["mode"] == "max" else 1
        completed = [t for t in self.trials if t.status == COMPLETED and t.metric is not None]
        return sorted(completed, key=lambda trial: sign * (trial.metric or 0.0))

    def _write(self) -> None:
        data = {"search": self.search, "trials": to_dict(self.trials)}
        durable.write_text(self.path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _difference(name: str, before: Any, now: Any) -> str:
    """The first key, dotted, that differs, and how."""
    was, is_now = before.get(name), now[name]
    if isinstance(was, dict) and isinstance(is_now, dict):
        for key in sorted({*was, *is_now}):
            if was.get(key) != is_now.get(key):
                return f"{name}." + _difference(key, {key: was.get(key)}, {key: is_now.get(key)})
    return f"{name} was {was!r} and now is {is_now!r}"
