"""Puts an earlier version back into service, and sees to it that the bad one stays out.

Versions only rise, and servers serve the newest: so the content of the earlier version is pushed
again under a new number. The models of all versions after the earlier one are bad: the ledger
beside the versions keeps the Pusher from pushing them again, and in ML Metadata they lose their
blessing. Writes come in such an order that a second call finishes what a killed one began.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.serving.versions import (
    Ledger,
    Manifest,
    RolledBack,
    Version,
    all_versions,
    push,
)
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone

NO_REASON = "no reason was given"


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """What a rollback did.

    Attributes:
        back_to: The version whose content is served now.
        now: The version that has it.
        bad: The versions whose models were taken out of service by it.
        models: Folders of the models that lost their blessing.
        restored: Folders of the models that got it back.
    """

    back_to: str
    now: str
    bad: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()


def roll_back(config: PipelineConfig, out: Path, to: str | None, reason: str) -> Rollback:
    """Goes back to an earlier version.

    Args:
        config: The configuration of the pipeline.
        out: Output folder.
        to: The version to go back to; None: the one before the newest that is another model and
            was not rolled back. One that was rolled back is restored.
        reason: Why.

    Raises:
        ConfigError: There is no such version.
        BabelRankError: There is none to go back to, or a run uses the output folder.
    """
    out = out.absolute()
    serving = serving_folder(config, out)
    with alone(out):
        ledger, known = Ledger.load(serving), all_versions(serving)
        there = [one for one in known if one.path is not None]
        target = _target(serving, there, to or ledger.unfinished)
        digest = target.digest()
        if there[-1].digest() == digest and not ledger.unfinished:
            return Rollback(back_to=target.name, now=there[-1].name)
        bad = _later(known, target)
        told = [one.name for one in bad if ledger.unfinished or one.rolled_back is None]
        ledger = _noted(ledger, target, bad, reason)
        ledger.save(serving)  # from here on, a second call knows what to do
        from babelrank.pipelines.database import connection

        models, restored = _mark(connection(Layout(out)), target, bad, reason)
        path = serving / target.name
        about = target.manifest or Manifest(digest=digest, source=str(path))
        version, _ = push(path, serving, dataclasses.replace(about, copy_of=target.name))
        dataclasses.replace(ledger, unfinished="").save(serving)
    return Rollback(
        back_to=target.name,
        now=version.name,
        bad=tuple(told),
        models=models,
        restored=restored,
    )


def serving_folder(config: PipelineConfig, out: Path) -> Path:
    """The folder of the versions that a pipeline pushes."""
    return Path(config.push.directory or Layout(out).serving).absolute()


def _target(serving: Path, there: Sequence[Version], to: str) -> Version:
    """The version to go back to."""
    if to:
        for one in there:
            if one.name == to:
                return one
        names = ", ".join(one.name for one in there) or "none, for there is none"
        raise ConfigError(f"--to: {serving} has no version {to}; takes {names}.")
    if not there:
        raise BabelRankError(f"{serving}: nothing was pushed there yet.")
    served = there[-1].digest()
    for one in reversed(there):
        if one.rolled_back is None and one.digest() != served:
            return one
    raise BabelRankError(
        f"{serving}: there is no version to go back to: no other model than that of version "
        f"{there[-1].name} is left that was not rolled back. Name one by --to."
    )


def _later(known: Sequence[Version], target: Version) -> list[Version]:
    """The versions after the one to go back to, with other models.

    Copies that rollbacks made do not count: it is the time of the original that does.
    """
    originals = [one for one in known if not (one.manifest and one.manifest.copy_of)]
    digest = target.digest()
    same = [int(one.name) for one in originals if one.digest() == digest]
    begin = max(same, default=int(target.name))
    return [one for one in originals if int(one.name) > begin and one.digest() != digest]


def _noted(ledger: Ledger, target: Version, bad: Sequence[Version], reason: str) -> Ledger:
    """The ledger with the bad models, and without the one to go back to."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    entries = dict(ledger.rolled_back)
    for one in bad:
        entries.setdefault(one.digest(), RolledBack(version=one.name, reason=reason, when=now))
    entries.pop(target.digest(), None)
    return dataclasses.replace(ledger, rolled_back=entries, unfinished=target.name)


def _mark(
    connection: Any, target: Version, bad: Sequence[Version], reason: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Withdraws the blessings of the bad models, and gives that of the target back."""
    from babelrank.pipelines.blessings import Blessings
    from babelrank.pipelines.metadata_store import open_store

    blessings = Blessings(open_store(connection))
    models = blessings.withdraw([one.manifest for one in bad if one.manifest], reason)
    restored = blessings.restore(target.manifest) if target.manifest else []
    return tuple(dict.fromkeys(models)), tuple(restored)
