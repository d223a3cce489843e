"""Configuration of what happens around the runs: schedule, retention, messages."""

from __future__ import annotations

from dataclasses import dataclass

from babelrank.components.config import option
from babelrank.components.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """When `retrain` runs, and on which spans."""

    cron: str = option("0 3 * * *", "When, as minute hour day month weekday, in UTC.")
    catch_up: bool = option(
        False, "Whether runs that were missed, while the schedule was off, are made up for."
    )
    lag: int = option(
        1,
        "Days between the newest day that a run reads and the day for which it is scheduled; only "
        "for data whose path has {YYYY}, {MM} and {DD}.",
    )
    allow_missing: bool = option(
        False, "Go on when a span between the oldest and the newest of the window is not there."
    )
    warm_start: str | None = option(
        "blessed",
        "What training.warm_start is in a retraining when it is null; null: each starts afresh.",
    )
    reuse_vocabulary: bool = option(
        True,
        "Whether a retraining keeps the subwords of the last blessed model, as with "
        "vocabulary.reuse: latest (translation).",
    )

    def __post_init__(self) -> None:
        from croniter import CroniterBadDateError, croniter

        if len(self.cron.split()) != 5 or not croniter.is_valid(self.cron):
            raise ConfigError(
                f"cron: got {self.cron!r}; takes five fields, minute hour day month weekday, such "
                f"as '0 3 * * *'."
            )
        try:
            croniter(self.cron).get_next()
        except CroniterBadDateError:
            raise ConfigError(f"cron: got {self.cron!r}, a time that never comes.") from None
        if self.lag < 0:
            raise ConfigError(f"lag: got {self.lag}; takes 0 or more.")


@dataclass(frozen=True, kw_only=True)
class RetentionConfig:
    """What `clean` leaves."""

    versions: int = option(5, "Pushed versions that are kept, the newest ones.")
    runs: int = option(30, "Runs whose reports are kept, the newest ones.")
    spans: int = option(3, "Newest spans whose examples, transformed examples and models are kept.")

    def __post_init__(self) -> None:
        for name in ("versions", "runs", "spans"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}; takes 1 or more.")


@dataclass(frozen=True, kw_only=True)
class NotifyConfig:
    """Who is told when a run is refused or fails."""

    webhook: str | None = option(
        None,
        "Address that gets a JSON message by POST; null: what the environment variable "
        "BABELRANK_WEBHOOK says (the place for a secret one: reports show this key), or nobody.",
    )

    def __post_init__(self) -> None:
        if self.webhook is not None and not self.webhook.startswith(("http://", "https://")):
            raise ConfigError(f"webhook: got {self.webhook}; takes http:// or https://, or null.")
