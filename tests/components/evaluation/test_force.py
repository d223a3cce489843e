"""Tests of a blessing by force."""

from __future__ import annotations

from babelrank.components.evaluation.force import force
from babelrank.components.evaluation.verdict import Finding

GOOD = Finding(ok=True, text="auc is fine.")
BAD = Finding(ok=False, text="auc is low.")
ROLLED_BACK = Finding(ok=False, text="It was rolled back.", kind="rolled_back")


def test_without_a_reason_nothing_happens():
    assert force(None, [BAD]) == ("", ())


def test_what_the_gate_refuses():
    reason, (said,) = force("a holiday", [GOOD, BAD, BAD])
    assert reason == "a holiday"
    assert said == Finding(
        ok=True,
        text="Blessed by force (evaluation.force_bless), although 2 findings say no. The reason: "
        "a holiday. The next models are compared with this one.",
        kind="forced",
        note=True,
    )
    assert "although 1 finding says no. The reason: Why. The" in force("Why.", [BAD])[1][0].text


def test_what_the_gate_blesses_itself_is_not_forced():
    reason, (said,) = force("a holiday", [GOOD])
    assert reason == ""
    assert said.ok
    assert said.text.startswith("evaluation.force_bless was not needed: ")


def test_what_was_rolled_back_stays_so():
    reason, (said,) = force("a holiday", [BAD, ROLLED_BACK])
    assert reason == ""
    assert said.note
    assert "`babelrank rollback --to VERSION` does" in said.text
