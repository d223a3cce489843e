"""The commands about what runs have left: `versions`, `rollback` and `clean`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babelrank.components.config import load_yaml
from babelrank.components.errors import ConfigError
from babelrank.components.evaluation.wording import figure, in_order
from babelrank.components.serving.versions import Version, all_versions
from babelrank.pipelines import options, rollback, running

VERSIONS = """Lists what was pushed, oldest first: version, when, state, what the gate measured, the
spans that it was trained and judged on, and the run. The newest version is the one that is served.
Give the folder of the versions (serving), the output folder that it is in, or --config."""

ROLLBACK = """Puts an earlier version back: its content is pushed again under a new, higher number.
The versions after it are marked: their models are not pushed again, and are no baseline, no start
of a training and no source of a vocabulary any more. To go back to a version that was rolled back
itself (--to) restores it. A rollback that was killed, or that met another ML Metadata than that of
the runs, is finished by the same command."""

CLEAN = """Removes what the section `retention` does not keep: pushed versions, reports of runs, and
artifacts of spans that are no longer among the newest. Never removed: the version that is served,
versions that something else pushed, models that a coming run compares with or starts from (with
what they were made with), the newest run that was judged, and whatever an unfinished run or
rollback needs to go on. Which spans were judged is remembered (runs/judged.json)."""

EXIT_CODES = """exit codes:
  0  done
  1  something failed
  2  wrong usage or configuration"""


def add(commands: Any) -> None:
    """Adds the commands to the parser."""
    versions = _command(commands, "versions", "list what was pushed", VERSIONS)
    versions.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    versions.add_argument("--config", type=Path, metavar="FILE", help="in place of DIR")
    options.add_out(versions)
    versions.add_argument("--json", action="store_true", help="for machines")
    versions.set_defaults(run=_versions)
    back = _command(commands, "rollback", "put an earlier version back into service", ROLLBACK)
    options.add_configuration(back)
    options.add_out(back)
    back.add_argument("--to", metavar="VERSION", help="the version (the one before the newest)")
    back.add_argument("--reason", default=rollback.NO_REASON, metavar="TEXT", help="why")
    back.set_defaults(run=_rollback)
    clean = _command(commands, "clean", "remove what is no longer needed", CLEAN)
    options.add_configuration(clean)
    options.add_out(clean)
    clean.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    clean.set_defaults(run=_clean)


def _command(commands: Any, name: str, what: str, description: str) -> Any:
    return commands.add_parser(
        name,
        help=what,
        description=description,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _versions(given: argparse.Namespace) -> int:
    found = all_versions(_serving(given))
    if given.json:
        text = json.dumps([_plain(one, one is found[-1]) for one in found], indent=1)
    else:
        text = "\n".join(_table(found)) if found else "Nothing was pushed yet."
    sys.stdout.write(text + "\n")
    return running.PUSHED


def _serving(given: argparse.Namespace) -> Path:
    """The folder of the versions that the arguments mean.

    Raises:
        ConfigError: There is none.
    """
    if (given.folder is None) == (given.config is None):
        raise ConfigError("versions: takes either DIR or --config FILE.")
    if given.config is None and given.out is not None:
        raise ConfigError("--out: takes --config beside it; DIR alone says where to look.")
    if given.config is not None:
        config = _any_pipeline(given.config)
        return rollback.serving_folder(config, options.output(given, config))
    folder: Path = given.folder
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder.")
    inner = folder / "serving"
    return inner if inner.is_dir() else folder


def _any_pipeline(path: Path) -> Any:
    """The configuration of either pipeline, whichever the file is of."""
    errors = []
    for cls in options.PIPELINES.values():
        try:
            return load_yaml(cls, path)
        except ConfigError as error:
            errors.append(str(error))
    raise ConfigError(" Or, as the other pipeline: ".join(errors))


def _plain(version: Version, newest: bool) -> dict[str, Any]:
    known = dataclasses.asdict(version.manifest) if version.manifest else {}
    return {
        "version": version.name,
        "status": _state(version, newest),
        "path": None if version.path is None else str(version.path),
        **known,
        "rolled_back": dataclasses.asdict(version.rolled_back) if version.rolled_back else None,
    }


def _state(version: Version, newest: bool) -> str:
    if newest:
        return "newest"
    if version.rolled_back is not None:
        return "rolled back"
    return "removed" if version.path is None else "kept"


def _table(found: Sequence[Version]) -> list[str]:
    """The versions as lines of columns."""
    rows: list[tuple[str, ...]] = [("version", "pushed", "state", "metrics", "spans", "run")]
    rows += [_row(one, one is found[-1]) for one in found]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def _row(version: Version, newest: bool) -> tuple[str, ...]:
    known, state = version.manifest, _state(version, newest)
    if version.rolled_back is not None:
        state += f" ({version.rolled_back.reason})"
    if known is None:
        return version.name, "?", state, "not pushed by BabelRank", "", ""
    if known.forced:
        state += f", forced ({known.forced})"
    if known.copy_of:
        state += f", as {known.copy_of}"
    shown = in_order(known.metrics)[:3]
    metrics = ", ".join(f"{name} {figure(name, known.metrics[name])}" for name in shown)
    spans = ", ".join(map(str, known.spans))
    return version.name, known.pushed, state, metrics, spans, known.run_id


def _rollback(given: argparse.Namespace) -> int:
    config = options.configuration(given)
    out = options.output(given, config)
    done = rollback.roll_back(config, out, given.to, given.reason)
    lines = [f"Version {done.now}, which is served, has the model of version {done.back_to}."]
    if done.bad:
        lines.append(
            f"  rolled back: {', '.join(done.bad)}; not pushed again, and no baseline any more"
        )
    lines += [f"  no longer blessed: {model}" for model in done.models]
    lines += [f"  blessed again: {model}" for model in done.restored]
    sys.stdout.write("\n".join(lines) + "\n")
    return running.PUSHED


def _clean(given: argparse.Namespace) -> int:
    from babelrank.pipelines import retention

    config = options.configuration(given)
    out = options.output(given, config)
    if not out.is_dir():
        raise ConfigError(f"{out}: no such folder; takes the output folder of runs.")
    freed = retention.clean(config, out, given.dry_run)
    verb = "would free" if given.dry_run else "freed"
    lines = [f"  {n:,} {what}: {_bytes(count)}" for what, (n, count) in freed.items() if n]
    total = sum(count for _, count in freed.values())
    first = f"{out}: {verb} {_bytes(total)}." if lines else f"{out}: nothing to remove."
    sys.stdout.write("\n".join([first, *lines]) + "\n")
    return running.PUSHED


def _bytes(count: int) -> str:
    """A number of bytes for people."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
