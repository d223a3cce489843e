"""Configuration of pushing."""

from __future__ import annotations

from dataclasses import dataclass

from babelrank.components.config import option


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Where blessed models go."""

    enabled: bool = option(
        True, "Whether blessed models are pushed; false: the gate judges, and nothing is served."
    )
    directory: str | None = option(
        None, "Folder that a model server watches; null: `serving` in the output folder."
    )
