"""What a search says: a line for each trial, a table at the end, and the best configuration."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import yaml

from babelrank.components import durable
from babelrank.components.config import to_dict
from babelrank.components.training.progress import Bar
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.journal import COMPLETED, Journal, Trial
from babelrank.pipelines.search import Plan, Proposal
from babelrank.pipelines.search_space import configured

ROWS = 20
"""Trials in the table; trials.json has them all."""

_log = logging.getLogger("babelrank")


class TrialBar(Bar):
    """The steps of a trial: a bar on a terminal; evaluations go to the log."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._live = (stream or sys.stderr).isatty()

    def start(self, step: int, total: int, unit: str = "examples") -> None:
        """See `Progress`."""
        if self._live:
            super().start(step, total, unit)
            self._bar.leave = False

    def update(self, step: int, total: int, loss: float, speed: float) -> None:
        """See `Progress`."""
        if self._live:
            super().update(step, total, loss, speed)

    def note(self, text: str) -> None:
        """See `Progress`."""
        _log.info(text)


class Reporter:
    """Tells how a search goes.

    Args:
        say: Where lines go.
        plan: The search.
        journal: Its trials.
        costs: What each trial costs, if none fails; see `search.costs`.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        plan: Plan,
        journal: Journal,
        costs: Sequence[int],
    ) -> None:
        self._say, self._plan, self._journal = say, plan, journal
        self._total, self._left = len(costs), sum(costs[len(journal.trials) :])
        self._cost, self._seconds = 0, 0.0

    def begins(self, proposal: Proposal) -> None:
        """A trial begins; see `search.search`."""
        shown = _short(proposal.values)
        values = ", ".join(f"{shown[k]} {_text(v)}" for k, v in proposal.values.items())
        until = "" if proposal.epochs is None else f"; up to epoch {proposal.epochs}"
        if proposal.continues is not None:
            until += f", on from trial {proposal.continues}"
        self._say(f"{self._title(proposal.number)}: {values}{until}")

    def ended(self, proposal: Proposal, trial: Trial, seconds: float) -> None:
        """A trial has ended; see `search.search`."""
        self._left -= proposal.cost
        self._cost, self._seconds = self._cost + proposal.cost, self._seconds + seconds
        best = next(iter(self._journal.ranked()), None)
        said = f"{trial.status}: {trial.error}"
        if trial.status == COMPLETED:
            said = f"{self._plan.metric} {_text(trial.metric)}"
        if best is not None and best.number == trial.number:
            said += " (best so far)"
        elif best is not None:
            said += f"; best so far {_text(best.metric)} (trial {best.number})"
        left = self._seconds / self._cost * max(0, self._left)
        more = f", about {duration(left)} left" if self._left > 0 else ""
        self._say(f"{self._title(trial.number)}: {said}; {duration(seconds)}{more}")

    def _title(self, number: int) -> str:
        return f"Trial {number} of {max(self._total, number)}"


def table(journal: Journal, metric: str) -> list[str]:
    """The lines of a table of all trials, the best ones first, then those without a result."""
    ranked = journal.ranked()
    trials = ranked + [trial for trial in journal.trials if trial not in ranked]
    keys = list(trials[0].values) if trials else []
    short = _short(keys)
    rows = [["trial", metric, *(short[key] for key in keys), "steps", "time", ""]]
    for trial in trials[:ROWS]:
        values = [_text(trial.values[key]) for key in keys]
        status = "" if trial.status == COMPLETED else trial.status
        figures = [str(trial.steps), duration(trial.seconds), status]
        rows.append([str(trial.number), _text(trial.metric), *values, *figures])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if len(trials) > ROWS:
        lines.append(f"… and {len(trials) - ROWS} more in {journal.path}")
    return lines


def write_best(
    path: Path, config: PipelineConfig, plan: Plan, trial: Trial, journal: Journal
) -> None:
    """Writes the complete configuration of a trial, for `babelrank run`.

    Args:
        path: Where to.
        config: What all trials have in common.
        plan: The search.
        trial: The trial.
        journal: Where all trials are.
    """
    data = to_dict(configured(config, trial.values))
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    comment = (
        f"# By `babelrank tune {config.task} --search {plan.method} --seed {plan.seed}`, trial "
        f"{trial.number}:\n# {plan.metric} {_text(trial.metric)} on the eval split. "
        f"All trials: {journal.path.name}\n"
    )
    durable.write_text(path, comment + text)


def duration(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _short(keys: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Each key by as many of its last parts as it takes to tell it from the others."""
    short = {}
    for key in keys:
        parts = key.split(".")
        for count in range(1, len(parts) + 1):
            short[key] = ".".join(parts[-count:])
            alike = [other for other in keys if f".{other}".endswith(f".{short[key]}")]
            if len(alike) == 1:
                break
    return short


def _text(value: Any) -> str:
    """A value as in YAML, numbers with four digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    rendered = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return rendered.removesuffix("...\n").strip()
