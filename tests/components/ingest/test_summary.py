"""Tests of counting rows and of the bad-row gate."""

from collections import Counter

import pytest

from babelrank.components.errors import BadRowsError, InputError
from babelrank.components.ingest.blocks import BadRow, Location
from babelrank.components.ingest.summary import Summary, total


def bad(reason, line):
    return BadRow(Location(f"line {line}", f"raw {line}"), reason, f"detail {line}")


def with_bad(read, **counts):
    summary = Summary(read)
    for reason, count in counts.items():
        for line in range(count):
            summary.add_bad(f"{reason}.csv", bad(reason, line + 2))
    return summary


def test_the_balance():
    Summary(6, Counter(train=3), Counter(x=1), Counter(y=2)).check_balance()
    with pytest.raises(RuntimeError, match=r"rows are lost: 7 read, but {'train': 3} written"):
        Summary(7, Counter(train=3), Counter(x=1), Counter(y=2)).check_balance()
    with pytest.raises(RuntimeError, match="rows are lost"):  # and rows that are too many
        Summary(5, Counter(train=3), Counter(x=1), Counter(y=2)).check_balance()


def test_the_gate_lets_the_limit_pass():
    with_bad(100, a=1).check_bad_fraction(0.01)
    with_bad(100, a=100).check_bad_fraction(1.0)
    with_bad(100).check_bad_fraction(0.0)


def test_the_gate_names_the_three_commonest_reasons_with_an_example():
    summary = with_bad(1000, a=1, b=20, c=3, d=5)
    with pytest.raises(BadRowsError) as caught:
        summary.check_bad_fraction(0.01)
    assert str(caught.value).splitlines() == [
        "29 of 1,000 rows are bad (2.90%; ingest.max_bad_fraction allows 1.00%). "
        "The commonest reasons:",
        "  b: 20 rows, such as b.csv, line 2:",
        "    detail 2: 'raw 2'",
        "  d: 5 rows, such as d.csv, line 2:",
        "    detail 2: 'raw 2'",
        "  c: 3 rows, such as c.csv, line 2:",
        "    detail 2: 'raw 2'",
        "Mend the input or the `data` section, or raise ingest.max_bad_fraction.",
    ]


def test_no_rows_at_all():
    with pytest.raises(InputError, match="the input has no rows"):
        Summary().check_bad_fraction(1.0)


def test_total_and_json():
    first = with_bad(3, a=1)
    first.written.update(train=2)
    first.spans.update({"7": 3})
    second = with_bad(5, a=1, b=1)
    second.written.update(train=1, eval=1)
    second.dropped.update(label_missing=1)
    second.counts.update({"join_unmatched:id": 2})
    second.spans.update({"7": 1, "8": 4})
    whole = total(Summary.from_json(part.to_json()) for part in (first, second))
    assert whole == Summary(
        8,
        Counter(train=3, eval=1),
        Counter(a=2, b=1),
        Counter(label_missing=1),
        Counter({"join_unmatched:id": 2}),
        {"a": ("a.csv", bad("a", 2)), "b": ("b.csv", bad("b", 2))},
        Counter({"7": 4, "8": 4}),
    )
    whole.check_balance()


def test_the_newest_of_several_spans_must_have_rows():
    summary = Summary(3, spans=Counter({"1": 2, "3": 1}))
    summary.check_spans([1, 2, 3])  # nothing happened on day 2
    with pytest.raises(InputError, match="span 2, the newest one, has no rows, so there is"):
        summary.check_spans([1, 2])
    Summary().check_spans([0])  # without spans; another check says so
