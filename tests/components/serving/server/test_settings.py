"""Tests of the server's settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from babelrank.components.errors import ConfigError
from babelrank.components.serving.server.settings import Limits, Settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_batch": 0}, "max_batch: got 0; takes 1 or more."),
        ({"max_queue": 3, "max_instances": 4}, r"max_queue: got 3; takes max_instances \(4\)"),
        ({"max_delay_ms": -1}, "max_delay_ms: got -1; takes 0 to 1000."),
        ({"max_delay_ms": math.nan}, "max_delay_ms: got nan; takes 0 to 1000."),
        ({"max_line_characters": 0}, "max_line_characters: got 0; takes 1 or more."),
        ({"deadline_seconds": 0}, "deadline_seconds: got 0; takes more than 0."),
        ({"deadline_seconds": math.nan}, "deadline_seconds: got nan; takes more than 0."),
    ],
)
def test_wrong_limits_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        Limits(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"models": {}}, "models: got none"),
        ({"models": {"a/b": Path("x")}}, "model name: got 'a/b'; takes up to 63"),
        ({"port": 70000}, r"port: got 70000; takes 0 \(any that is free\) to 65535."),
        ({"poll_seconds": 0}, "poll_seconds, grace_seconds: got 0, 30"),
        ({"poll_seconds": math.nan}, "poll_seconds, grace_seconds: got nan, 30"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        Settings(**{"models": {"a": Path("x")}, **wrong})
