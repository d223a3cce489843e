"""What the server serves, on which address, and its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babelrank.components.config import option
from babelrank.components.errors import ConfigError

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""Names of models: they stand in addresses."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may ask for, and how requests are joined."""

    max_body_mib: int = option(16, "Largest body of a request, in MiB.")
    max_instances: int = option(1024, "Most rows or lines of a request.")
    max_characters: int = option(20_000, "Most characters of a text.")
    max_line_characters: int = option(
        2000, "Most characters of a line to translate: memory grows with their square."
    )
    max_batch: int = option(256, "Most rows that go through a model together.")
    max_batch_lines: int = option(32, "Most lines that go through a translation model together.")
    max_delay_ms: float = option(2.0, "A request waits so long, at the most, to be joined by more.")
    max_queue: int = option(4096, "Rows or lines that may wait; more are refused with 503.")
    deadline_seconds: float = option(30.0, "A request that takes longer is refused with 504.")

    def __post_init__(self) -> None:
        for name in ("max_body_mib", "max_instances", "max_batch", "max_batch_lines"):
            _at_least_one(name, getattr(self, name))
        for name in ("max_characters", "max_line_characters"):
            _at_least_one(name, getattr(self, name))
        if self.max_queue < self.max_instances:
            raise ConfigError(
                f"max_queue: got {self.max_queue}; takes max_instances ({self.max_instances}) or "
                "more: one request must fit."
            )
        if not 0 <= self.max_delay_ms <= 1000:
            raise ConfigError(f"max_delay_ms: got {self.max_delay_ms}; takes 0 to 1000.")
        if not self.deadline_seconds > 0:  # not a number is not
            raise ConfigError(f"deadline_seconds: got {self.deadline_seconds}; takes more than 0.")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that the server must know.

    Attributes:
        models: By name, the folder that holds the versions of a model, or one version.
        host: Address to listen on.
        port: TCP port; 0 picks a free one.
        unverified: Whether versions without a manifest are served.
        wait: Whether to start, not ready, while a folder has no version.
        poll_seconds: Seconds between two looks for a new version.
        grace_seconds: Seconds that requests have to finish when the server is stopped.
        log_requests: Whether each request leaves a line in the log.
        limits: Of requests.
    """

    models: Mapping[str, Path]
    host: str = "127.0.0.1"
    port: int = 8080
    unverified: bool = False
    wait: bool = False
    poll_seconds: float = 1.0
    grace_seconds: int = 30
    log_requests: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigError("models: got none; takes the folder of a model, or several.")
        for name in self.models:
            if not re.fullmatch(NAME, name):
                raise ConfigError(
                    f"model name: got {name!r}; takes up to 63 letters, digits, '.', '_' and '-', "
                    "the first a letter or a digit: it is part of the address."
                )
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port: got {self.port}; takes 0 (any that is free) to 65535.")
        if not self.poll_seconds > 0 or self.grace_seconds < 0:
            raise ConfigError(
                f"poll_seconds, grace_seconds: got {self.poll_seconds}, {self.grace_seconds}; "
                "take more than 0, and 0 or more."
            )


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name}: got {value}; takes 1 or more.")
