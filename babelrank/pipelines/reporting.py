"""The command `report`: writes the index of all runs of an output folder, and says where it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from babelrank.components.errors import InputError
from babelrank.pipelines.layout import Layout

DESCRIPTION = """Writes DIR/index.html, a page with all runs of the output folder DIR: when each
ran, how it ended and why, its main metric, what it read and pushed, and a link to its report.
Every run writes it anew at its end; this does so at any time. Prints the path of the index and of
the newest report."""


def add(commands: Any) -> None:
    """Adds the command to the parser."""
    report = commands.add_parser(
        "report",
        help="write the index of all runs of an output folder",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("out", type=Path, metavar="DIR", help="output folder of a pipeline")
    report.set_defaults(run=_report)


def _report(given: argparse.Namespace) -> int:
    from babelrank.pipelines.run_index import INDEX, write_index

    out: Path = given.out
    if not out.is_dir():
        raise InputError(
            f"{out}: there is no such folder; takes the output folder of a pipeline, such as the "
            f"--out of `babelrank run`."
        )
    if not Layout(out).runs.is_dir():
        raise InputError(
            f"{out}: there is no folder {Layout(out).runs.name} in it, so no run has written "
            f"there; takes the output folder of `babelrank run` or `retrain`."
        )
    runs = write_index(out)
    lines = [f"{len(runs)} run{'' if len(runs) == 1 else 's'}; index: {out / INDEX}"]
    newest = next((run for run in runs if run.report), None)
    if newest is not None:
        lines.append(f"newest report ({newest.status}): {out / newest.report}")
    elif not runs:
        lines.append("There is no run yet; `babelrank run` begins one.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
