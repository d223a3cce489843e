"""Sentences about a run: how it ended, how near it came to the best, what its training did."""

from __future__ import annotations

import math

from babelrank.components.evaluation.run_summary import RunSummary
from babelrank.components.evaluation.wording import difference, figure, label


def headline(summary: RunSummary) -> str:
    """How the run ended, in few words: `Pushed`, `Refused`, `Failed at Trainer`."""
    forced = ", forced" if summary.forced else ""
    if summary.status == "blessed":
        return f"Blessed{forced}, not pushed"
    if summary.status == "refused" and unserved(summary):
        return "Refused by the serving check"
    if summary.status in ("pushed", "refused"):
        return summary.status.capitalize() + (forced if summary.status == "pushed" else "")
    failed = [step.name for step in summary.steps if step.state == "failed"]
    return summary.status.capitalize() + (f" at {', '.join(failed)}" if failed else "")


def unserved(summary: RunSummary) -> bool:
    """Whether the gate passed the model and the serving check refused it."""
    return bool(summary.blessed and summary.check and not summary.check.ok)


def reachable(summary: RunSummary) -> dict[str, str]:
    """For each metric with a known optimum, a sentence on how near the model came."""
    sentences = {}
    for name, best in (summary.optimum or {}).items():
        value = summary.metrics.get(name, math.nan)
        if not (math.isfinite(value) and math.isfinite(best)):
            continue
        text = f"{label(name)} {figure(name, value)} of {figure(name, best)} reachable"
        if name == "auc" and best > 0.5:
            way = 100 * (value - 0.5) / (best - 0.5)
            text += f" ({way:.0f} % of the way from 0.5)"
        else:
            text += f" ({difference(value, best)})"
        sentences[name] = text
    return sentences


def training_sentences(summary: RunSummary, brief: bool = False) -> list[str]:
    """What people should know about the training: its privacy, and what it left out.

    Args:
        summary: The run.
        brief: Without what privacy covers.
    """
    sentences = []
    if summary.privacy:
        spent = summary.privacy
        covers = "The report says what it covers." if brief else spent["covers"]
        sentences.append(
            f"Private training: epsilon {spent['epsilon']:.3g} at delta {spent['delta']:.3g}, "
            f"after {spent['steps']} steps of {spent['batch_size']} expected examples out of "
            f"{spent['examples']}. {covers}"
        )
    if summary.skipped:
        sentences.append(
            f"The loss diverged {len(summary.skipped)} times; training went on without "
            f"{'; '.join(summary.skipped)}."
        )
    return sentences
