"""Tests of label rules."""

import numpy as np
import pytest

from babelrank.components.errors import ConfigError
from babelrank.components.ingest.rules import Rule, parse_rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> 15", Rule(">", ("15",))),
        (">=4", Rule(">=", ("4",))),
        (" < -1.5 ", Rule("<", ("-1.5",))),
        ("<= 0", Rule("<=", ("0",))),
        ("= order", Rule("=", ("order",))),
        ("== add to cart", Rule("=", ("add to cart",))),
        ("!= view", Rule("!=", ("view",))),
        ("in cart, order", Rule("in", ("cart", "order"))),
        ("in 1,2", Rule("in", ("1", "2"))),
    ],
)
def test_parse(text, expected):
    assert parse_rule(text, "positive") == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("> 2", [0, 0, 1]), (">= 2", [0, 1, 1]), ("< 2", [1, 0, 0]), ("<= 2", [1, 1, 0])],
)
def test_compare(rule, expected):
    parsed = parse_rule(rule, "positive")
    assert parsed.numeric
    assert parsed.compare(np.array([1.0, 2.0, 3.0])).tolist() == [bool(x) for x in expected]


@pytest.mark.parametrize("text", ["15", "", ">", "order", "inside", "between 1 and 2", "=> 3"])
def test_no_rule(text):
    if text == "=> 3":  # reads as: equal to the text '> 3'
        assert parse_rule(text, "positive") == Rule("=", ("> 3",))
        return
    with pytest.raises(ConfigError, match=r"label\.positive: got .*; takes a rule such as '> 15'"):
        parse_rule(text, "label.positive")


def test_sizes_compare_with_numbers():
    with pytest.raises(ConfigError, match="got '> many'; > compares with a number"):
        parse_rule("> many", "label.positive")
