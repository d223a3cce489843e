"""The pages for people: the report of a run and the index of all, one HTML file each.

No network, and no script but one, which the page itself names by its hash (Content Security Policy,
level 2). Text that comes from data (raw rows and sentences above all) is escaped, and what would
not be seen in it is made visible. Jinja is imported on first use.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from typing import Any

from babelrank.components.evaluation import wording
from babelrank.components.evaluation.differences import compared
from babelrank.components.evaluation.figures import figures
from babelrank.components.evaluation.lineage_picture import lineage_svg
from babelrank.components.evaluation.run_summary import Charts, RunSummary, StepSummary
from babelrank.components.evaluation.sentences import headline, reachable, training_sentences
from babelrank.components.evaluation.slice_table import slice_table
from babelrank.components.evaluation.verdict import Finding, checks
from babelrank.components.evaluation.wording import visible

PAGE, STYLE, SCRIPT = "report.html.j2", "style.css", "table.js"

JOINERS = "\u200c\u200d\u200e\u200f\u061c"
"""Not visible, but harmless and part of how Persian, Hindi, Hebrew or emoji are written."""

_WORDS = (
    *("better", "difference", "duration", "explained", "figure", "in_order", "is_significant"),
    *("label", "mebibytes", "milliseconds", "moment", "number", "share", "significance"),
    *("span_list", "visible"),
)


def html(summary: RunSummary, charts: Charts) -> str:
    """The whole report."""
    return rendered(
        PAGE,
        run=summary,
        charts=charts,
        figures=[(title, note, trusted(svg)) for title, note, svg in figures(summary, charts)],
        headline=headline(summary),
        pictures=_pictures(summary),
        reachable=reachable(summary),
        step_rows=step_rows(summary),
        checks=checks(summary.verdict),
        verdict_groups=verdict_groups(summary.verdict),
    )


def rendered(template: str, **content: Any) -> str:
    """A page from its template.

    Args:
        template: Name of a file beside this one.
        content: What the template shows.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value, "\n\t") if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update({name: getattr(wording, name) for name in _WORDS})
    environment.globals.update(
        compared=compared,
        foreign=_foreign,
        slice_table=slice_table,
        training_sentences=training_sentences,
    )
    script = _file(SCRIPT)
    return environment.get_template(template).render(
        script=trusted(script), script_hash=_hash(script), style=trusted(_file(STYLE)), **content
    )


def step_rows(summary: RunSummary) -> list[StepSummary]:
    """The steps in order; those known by their seconds alone ran."""
    known = {step.name for step in summary.steps}
    others = [
        StepSummary(name=name, state="ran", seconds=seconds)
        for name, seconds in summary.seconds.items()
        if name not in known
    ]
    return [*summary.steps, *others]


def verdict_groups(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings by what they are about, in the order in which each kind is first met."""
    kinds = list(dict.fromkeys(finding.kind for finding in findings))
    ordered = sorted(findings, key=lambda finding: kinds.index(finding.kind))
    return [
        (kind.replace("_", " ").capitalize(), list(group))
        for kind, group in groupby(ordered, key=lambda finding: finding.kind)
    ]


def _pictures(summary: RunSummary) -> list[Any]:
    """The lineage for wide pages and for narrow ones; the style shows one of them."""
    drawn = (lineage_svg(summary.lineage, narrow) for narrow in (False, True))
    return [trusted(svg) for svg in drawn if svg]


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """By which the page's policy knows its script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _foreign(text: str) -> Any:
    """A sentence in any language, escaped, with the invisible characters that scripts need."""
    from markupsafe import escape

    return escape(visible(text, keep=JOINERS))


def trusted(text: str) -> Any:
    """Marks what we wrote ourselves as needing no escapes."""
    from markupsafe import Markup

    return Markup(text)
