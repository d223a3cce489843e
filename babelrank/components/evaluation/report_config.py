"""Configuration of the report."""

from __future__ import annotations

from dataclasses import dataclass

from babelrank.components.config import option


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the report shows."""

    raw_rows: bool = option(
        True,
        "Whether it shows rows and sentences of the data: quarantined ones, sample translations, "
        "requests of the serving check; false where they are private.",
    )
