"""Whether data are new, beside what earlier runs have judged."""

from __future__ import annotations

import pytest

from babelrank.components.ingest.spans import Inputs
from babelrank.pipelines.history import PastRun
from babelrank.pipelines.novelty import counted, news, overtaken, shown

DAYS, NUMBERS, ONE = (
    Inputs(path=path) for path in ("{YYYY}{MM}{DD}.csv", "day={SPAN}.csv", "log.csv")
)


def run(*spans: int, status: str = "pushed", fingerprint: str = "f") -> PastRun:
    run_id = "run-" + "-".join(map(str, spans))
    return PastRun(run_id=run_id, status=status, started=0.0, spans=spans, fingerprint=fingerprint)


def test_spans_for_people():
    assert shown(DAYS, [0, 31]) == "1970-01-01 (0), 1970-02-01 (31)"
    assert shown(NUMBERS, [0, 31]) == "0, 31"


@pytest.mark.parametrize(
    ("spans", "fingerprint", "sentence"),
    [
        ((3,), "f", "span 3 is new."),
        ((2,), "f", "Nothing new: span 2 was refused by run run-2."),
        ((2,), "g", "span 2 changed after run run-2."),
        ((1, 2), "f", "the window of 1, 2 is new; before, it was span 2."),
    ],
)
def test_spans(spans: tuple[int, ...], fingerprint: str, sentence: str):
    judged = [run(1), run(2, status="refused")]
    assert news(spans, fingerprint, judged, NUMBERS) == (sentence[0] != "N", sentence)


def test_one_data_set():
    assert news((), "f", [], ONE) == (True, "the data were not judged yet.")
    assert news((), "f", [run()], ONE)[1] == "Nothing new: the data were pushed by run run-."
    assert news((), "g", [run()], ONE) == (True, "the data changed after run run-.")
    assert news((), "f", [run(fingerprint="")], ONE)[0]  # it is not known what that run read


def test_what_is_overtaken():
    judged = [run(4, 5, status="refused"), run(2)]
    sentence = "Nothing to do: 4 is older than 5, which was refused by run run-4-5."
    assert overtaken(4, judged, NUMBERS) == sentence
    assert [overtaken(span, judged, NUMBERS) for span in (5, 6, None)] == ["", "", ""]
    assert overtaken(4, [], NUMBERS) == ""


def test_what_counts():
    runs = [run(1), run(), run(1, 9), run(2, 3)]
    assert counted(runs, [9]) == [runs[0], runs[3]]
