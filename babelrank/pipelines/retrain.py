"""The command `retrain`: a run on the newest data, if there are any that no run has judged."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.pipelines import options, running, schedule
from babelrank.pipelines.config import PipelineConfig

HELP = """Takes the newest complete span (or the one that is named, or that belongs to a scheduled
time), and the window before it; starts from the last blessed model and keeps its vocabulary; judges
the new model against that one on the same newest data; pushes it, or not. Does nothing, with exit
code 0, when a run has judged these data before.

Of data by date ({YYYY}{MM}{DD}), now is the scheduled time if none is given: the day that is going
on is not read. With spans.marker, which says what is complete, it is the newest complete day.
A scheduled run for an older day than the newest one that was judged does nothing, too.

--backfill does so for every complete span after the newest one that was judged, oldest first, and
with --from for every span from there on that was never judged. It ends at the first failure; a
refusal is none.

--force-bless is for one run, whether its data were judged before or not (as with --force)."""


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    retrain = commands.add_parser(
        "retrain",
        help="run a pipeline on data that are new; for cron and the like",
        description=HELP,
        epilog=running.EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_configuration(retrain)
    options.add_out(retrain)
    which = retrain.add_mutually_exclusive_group()
    options.add_span(which, "newest")
    which.add_argument(
        "--scheduled",
        type=moment,
        metavar="TIME",
        help="read up to the day that a run at this time reads (see schedule.lag)",
    )
    which.add_argument("--backfill", action="store_true", help="every span that is still to do")
    retrain.add_argument(
        "--from", dest="first", type=options.span, metavar="N", help="for --backfill"
    )
    retrain.add_argument("--to", dest="last", type=options.span, metavar="N", help="for --backfill")
    retrain.add_argument("--force", action="store_true", help="run in any case")
    options.add_force_bless(retrain)
    retrain.add_argument(
        "--allow-missing", action="store_true", help="go on when a span of the window is missing"
    )
    retrain.set_defaults(run=_retrain)


def moment(text: str) -> datetime.datetime:
    """A time of an argument."""
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"got {text}; takes a time such as 2026-01-31T03:00:00Z"
        ) from None


def _retrain(given: argparse.Namespace) -> int:
    config = schedule.retraining(options.configuration(given))
    if given.force_bless is not None and given.backfill:
        raise ConfigError("--force-bless: is for one run; takes no --backfill beside it.")
    config = options.forced(config, given.force_bless)
    out = options.output(given, config)
    if not given.backfill and (given.first is not None or given.last is not None):
        raise ConfigError("--from, --to: take --backfill beside them.")
    try:
        return _newest(config, out, given) if not given.backfill else _backfill(config, out, given)
    except ConfigError:
        raise  # whoever wrote it is the one to know
    except BabelRankError as error:  # such as a missing day, a folder in use, or no GPU
        from babelrank.pipelines import notify

        problem = notify.could_not_begin(config.notify, config.name, config.task, "", str(error))
        if problem is not None:
            sys.stderr.write(f"babelrank: warning: {problem}\n")
        raise


def _newest(config: PipelineConfig, out: Path, given: argparse.Namespace) -> int:
    """Runs the newest span, or the one that is asked for."""
    newest, scheduled = _span(config, given.newest), given.scheduled
    if newest is None and scheduled is None:
        scheduled = schedule.now_scheduled(config)
    return _run(config, out, given, newest, scheduled)


def _backfill(config: PipelineConfig, out: Path, given: argparse.Namespace) -> int:
    """Runs one span after the other; returns the exit code of the worst."""
    first, last = (_span(config, one) for one in (given.first, given.last))
    spans = schedule.unfinished(config, out, first, last)
    if not spans:
        _say("Nothing to do: no span is left.")
    worst = running.PUSHED
    for number, one in enumerate(spans, 1):
        _say(f"Span {one}, {number} of {len(spans)}")
        code = _run(config, out, given, one, None)
        if code not in (running.PUSHED, running.REFUSED):
            return code
        worst = max(worst, code)
    return worst


def _span(config: PipelineConfig, number: int | None) -> int | None:
    return None if number is None else schedule.as_span(config, number)


def _run(
    config: PipelineConfig,
    out: Path,
    given: argparse.Namespace,
    newest: int | None,
    scheduled: datetime.datetime | None,
) -> int:
    plan = schedule.plan(
        config,
        out,
        span=newest,
        scheduled=scheduled,
        force=given.force or given.force_bless is not None,
        allow_missing=given.allow_missing,
    )
    _say(plan.reason)
    if not plan.go:
        return running.PUSHED
    return running.run(schedule.at_span(config, plan.span), out, None, plan)


def _say(text: str) -> None:
    sys.stdout.write(text[:1].upper() + text[1:] + "\n")
    sys.stdout.flush()
