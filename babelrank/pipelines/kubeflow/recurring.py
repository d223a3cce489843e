"""The recurring run of a pipeline: one at the most is switched on, whatever is interrupted.

`keep` compares what there is with what is wanted and goes on from there, so calling it again
repairs what a crash left: the new recurring run is made switched off, the old ones are switched
off, the new one is switched on, and only then the old ones are removed.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json

from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.pipelines.kubeflow.client import Client
from babelrank.pipelines.kubeflow.records import Recurring, Wanted
from babelrank.pipelines.kubeflow.submission import Say

SCHEDULED = "[[ScheduledTime]]"
"""Becomes the time for which a run was scheduled, in UTC: 20260102030405. Backend 2.16 or newer."""
_MARK = "Made by `babelrank schedule`: "


def six_fields(cron: str) -> str:
    """A cron expression as Kubeflow Pipelines takes it, with the seconds first.

    Names, steps, ranges and 7 for Sunday become numbers, because its parser knows fewer forms.

    Raises:
        ConfigError: It says something that Kubeflow Pipelines has no words for.
    """
    from croniter import croniter

    expanded, nth = croniter.expand(cron)
    if nth or any(not isinstance(one, int) and one != "*" for field in expanded for one in field):
        raise ConfigError(
            f"schedule.cron: got {cron!r}; Kubeflow Pipelines takes no L, W and # in it. Use "
            f"numbers, names, *, ranges, lists and steps."
        )
    return " ".join(("0", *(",".join(map(str, field)) for field in expanded)))


def following(cron: str) -> str:
    """When a six-field expression comes next, for people."""
    from croniter import croniter

    now = datetime.datetime.now(datetime.UTC)
    moment = croniter(cron.partition(" ")[2], now).get_next(datetime.datetime)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def keep(client: Client, wanted: Wanted, cron: str, catch_up: bool, say: Say) -> Recurring:
    """Sees to it that exactly the wanted recurring run is there and switched on.

    Args:
        client: Kubeflow Pipelines.
        wanted: What runs, under which name.
        cron: When, six fields with the seconds first.
        catch_up: Whether runs that were missed are made up for.
        say: Told of what is done.

    Raises:
        BabelRankError: Somebody else made a recurring run of this name.
    """
    mark = _mark(wanted, cron, catch_up)
    found = ours(client, wanted.name)
    fitting = [one for one in found if one.description == mark]
    kept = min(fitting, key=lambda one: not one.enabled, default=None)
    if kept is not None and kept.enabled and len(found) == 1:
        say(f"Schedule {wanted.name}: unchanged.")
        return kept
    if kept is None:
        described = dataclasses.replace(wanted, description=mark)
        kept = client.create_recurring(described, cron, no_catchup=not catch_up)
    others = [one for one in found if one.identity != kept.identity]
    for one in others:
        if one.enabled:
            client.disable(one.identity)
    if not kept.enabled:
        client.enable(kept.identity)
    for one in others:
        client.delete(one.identity)
    say(f"Schedule {wanted.name}: {'replaced' if others else 'switched on'}.")
    return dataclasses.replace(kept, enabled=True)


def ours(client: Client, name: str) -> list[Recurring]:
    """The recurring runs that `babelrank schedule` made for a pipeline.

    Raises:
        BabelRankError: Somebody else made one of this name.
    """
    found = client.recurring(name)
    for one in found:
        if not one.description.startswith(_MARK):
            raise BabelRankError(
                f"recurring run {name} ({one.identity}): was not made by `babelrank schedule`. "
                f"Remove it in the user interface, or give the pipeline another name."
            )
    return found


def lines(client: Client, name: str) -> list[str]:
    """What there is, a line for each recurring run."""
    found = ours(client, name)
    if not found:
        return [f"Schedule {name}: there is none."]
    return [
        f"Schedule {name}: on, {one.cron}, next {following(one.cron)}."
        if one.enabled
        else f"Schedule {name}: off, {one.cron}."
        for one in found
    ]


def disable(client: Client, name: str, say: Say) -> None:
    """Switches the schedule of a pipeline off; a run that is under way goes on."""
    enabled = [one for one in ours(client, name) if one.enabled]
    for one in enabled:
        client.disable(one.identity)
    say(f"Schedule {name}: {'switched off' if enabled else 'is not on'}.")


def delete(client: Client, name: str, say: Say) -> None:
    """Removes the schedule of a pipeline; its runs stay."""
    found = ours(client, name)
    for one in found:
        client.delete(one.identity)
    say(f"Schedule {name}: {'removed' if found else 'there is none'}.")


def _mark(wanted: Wanted, cron: str, catch_up: bool) -> str:
    """A description by which an unchanged recurring run is known again.

    Kubeflow Pipelines cannot change a recurring run, and may return its fields in another form.
    """
    content = [
        *(wanted.version.version, wanted.experiment, wanted.parameters, wanted.service_account),
        *(cron, catch_up),
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return _MARK + digest[:12]
