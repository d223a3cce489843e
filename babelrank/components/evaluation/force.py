"""A person's word against the gate's: a model that was refused is blessed all the same.

The findings stay as they are; the reason stands in the verdict, in the blessing, in the manifest of
the pushed version and in the report. What was rolled back stays so. Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence

from babelrank.components.evaluation.verdict import FORCED, ROLLED_BACK, Finding


def force(reason: str | None, findings: Sequence[Finding]) -> tuple[str, tuple[Finding, ...]]:
    """What becomes of a verdict when a blessing is forced.

    Args:
        reason: Why, `evaluation.force_bless`; None: nothing is forced.
        findings: Those of the gate.

    Returns:
        The reason if the model is blessed by force, else an empty text; and what the verdict adds.
    """
    if reason is None:
        return "", ()
    against = [finding for finding in findings if not finding.ok]
    if any(finding.kind == ROLLED_BACK for finding in against):
        text = (
            "evaluation.force_bless does not bring back a model that was rolled back; "
            "`babelrank rollback --to VERSION` does."
        )
        return "", (_note(text),)
    if not against:
        text = (
            f"evaluation.force_bless was not needed: the gate blesses the model itself ({reason})."
        )
        return "", (_note(text),)
    said = "1 finding says" if len(against) == 1 else f"{len(against)} findings say"
    why = reason if reason.endswith(".") else f"{reason}."
    return reason, (
        _note(
            f"Blessed by force (evaluation.force_bless), although {said} no. The reason: {why} "
            f"The next models are compared with this one."
        ),
    )


def _note(text: str) -> Finding:
    """What the verdict adds; it judges nothing."""
    return Finding(ok=True, text=text, kind=FORCED, note=True)
