"""Rules that say which label values are positive: `> 15`, `= order`, `in cart, order`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from babelrank.components.errors import ConfigError

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Rule:
    """A parsed rule.

    Attributes:
        operator: One of `>`, `>=`, `<`, `<=`, `=`, `!=`, `in`.
        values: The texts on the right-hand side (one, but for `in`).
    """

    operator: str
    values: tuple[str, ...]

    @property
    def numeric(self) -> bool:
        """True when the rule compares sizes, so that the column must hold numbers."""
        return self.operator in _OPERATORS

    def compare(self, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """[N] which numbers satisfy a numeric rule."""
        result: npt.NDArray[np.bool_] = _OPERATORS[self.operator](numbers, float(self.values[0]))
        return result


def parse_rule(text: str, key: str) -> Rule:
    """Parses `text`; `key` is named in errors.

    Raises:
        ConfigError: The text is no rule, or compares sizes with something that is no number.
    """
    match = re.fullmatch(r"\s*(>=|<=|!=|==|>|<|=|in\b)\s*(.+?)\s*", text)
    if match is None:
        raise ConfigError(
            f"{key}: got {text!r}; takes a rule such as '> 15', '>= 4', "
            "'= order', 'in cart, order'."
        )
    sign = "=" if match[1] == "==" else match[1]
    values = tuple(v.strip() for v in match[2].split(",")) if sign == "in" else (match[2],)
    rule = Rule(sign, values)
    if rule.numeric:
        try:
            float(values[0])
        except ValueError:
            raise ConfigError(f"{key}: got {text!r}; {sign} compares with a number.") from None
    return rule
