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
from typing import TYPE_CHECKING, Any

from babelrank.components.errors import BabelRankError, ConfigError
from babelrank.components.serving.manifest import Manifest
from babelrank.components.serving.versions import (
    Ledger,
    RolledBack,
    Version,
    all_versions,
    push,
    unfinished,
)
from babelrank.pipelines.config import PipelineConfig
from babelrank.pipelines.layout import Layout
from babelrank.pipelines.lease import alone

if TYPE_CHECKING:
    from babelrank.pipelines.blessings import Blessings

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
        BabelRankError: There is none to go back to, or a run uses the output folder; or ML Metadata
            does not know a bad model. The earlier version is served then, and a second call with
            the right ML Metadata finishes the rollback.
    """
    from babelrank.pipelines.database import connection

    out, reason = out.absolute(), reason.strip() or NO_REASON
    serving = serving_folder(config, out)
    with alone(out):
        ledger, known, begun = Ledger.load(serving), all_versions(serving), unfinished(serving)
        there = [one for one in known if one.path is not None]
        target = _target(serving, there, to or begun)
        bad, told = _later(known, target), []
        if begun or there[-1].digest() != target.digest():
            told = [one.name for one in bad if begun or one.rolled_back is None]
            ledger = _noted(ledger, target, bad, reason, known[-1].name)
            ledger.save(serving)  # from here on, a second call knows what to do
        # That version is served already? An earlier rollback may have met another ML Metadata.
        blessings = _blessings(connection(Layout(out)))
        models = blessings.withdraw([one.manifest for one in bad if one.manifest], reason)
        restored = blessings.restore(target.manifest) if target.manifest else []
        path = serving / target.name
        about = target.manifest or Manifest(digest=target.digest(), source=str(path))
        version, _ = push(path, serving, dataclasses.replace(about, copy_of=target.name))
        restorable = [target] if target.rolled_back else []
        _check_known(blessings, [*bad, *restorable], version.name)
        if ledger.unfinished:
            dataclasses.replace(ledger, unfinished="", newest="").save(serving)
    return Rollback(
        back_to=target.name,
        now=version.name,
        bad=tuple(told),
        models=tuple(dict.fromkeys(models)),
        restored=tuple(restored),
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


def _noted(
    ledger: Ledger, target: Version, bad: Sequence[Version], reason: str, newest: str
) -> Ledger:
    """The ledger with the bad models, and without the one to go back to."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    entries = dict(ledger.rolled_back)
    for one in bad:
        entries.setdefault(one.digest(), RolledBack(version=one.name, reason=reason, when=now))
    entries.pop(target.digest(), None)
    return dataclasses.replace(ledger, rolled_back=entries, unfinished=target.name, newest=newest)


def _blessings(connection: Any) -> Blessings:
    from babelrank.pipelines.blessings import Blessings
    from babelrank.pipelines.metadata_store import open_store

    return Blessings(open_store(connection))


def _check_known(blessings: Blessings, marked: Sequence[Version], now: str) -> None:
    """Models that this ML Metadata does not know are still blessed, or not, in the one that does.

    Raises:
        BabelRankError: There are such.
    """
    strange = [one.name for one in marked if one.manifest and not blessings.knows(one.manifest)]
    if strange:
        raise BabelRankError(
            f"version {now}, which is served, has the earlier model; but ML Metadata knows no "
            f"model of version {', '.join(strange)}: where it is known, it is as blessed as it "
            f"was, and so may be a baseline and the start of trainings. Give the same command "
            f"again with the ML Metadata of the runs (--out, or BABELRANK_METADATA in the "
            f"environment)."
        )
