"""What happened to every row: counts that must add up, and the bad-row gate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from babelrank.components.errors import BadRowsError, InputError
from babelrank.components.ingest.blocks import BadRow, Location

_COUNTERS = ("written", "quarantined", "dropped", "spans", "counts")


@dataclass
class Summary:
    """Counts of rows, of one file or of a whole run.

    Attributes:
        read: Rows that the files hold.
        written: Rows written, by split.
        quarantined: Bad rows, by reason.
        dropped: Rows left out on purpose, by reason.
        counts: Other things worth knowing, such as rows that a join found nothing for.
        examples: The first bad row of each reason, with its file.
        spans: Rows read, by span.
    """

    read: int = 0
    written: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[str, BadRow]] = field(default_factory=dict)
    spans: Counter[str] = field(default_factory=Counter)

    FILE: ClassVar[str] = "summary.json"
    """Its name in a quarantine."""

    @classmethod
    def load(cls, quarantine: str) -> Summary:
        """Reads the summary of a quarantine, a folder anywhere that TFX can read."""
        from tfx.dsl.io import fileio  # takes seconds, and most have no need of it

        with fileio.open(f"{quarantine}/{cls.FILE}") as file:
            return cls.from_json(file.read())

    def add_bad(self, path: str, row: BadRow) -> None:
        """Counts a quarantined row."""
        self.quarantined[row.reason] += 1
        self.examples.setdefault(row.reason, (path, row))

    def merge(self, other: Summary) -> None:
        """Adds the counts of another summary."""
        self.read += other.read
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for reason, example in other.examples.items():
            self.examples.setdefault(reason, example)

    def check_balance(self) -> None:
        """Raises RuntimeError unless every row read is written, quarantined or dropped."""
        out = sum(sum(c.values()) for c in (self.written, self.quarantined, self.dropped))
        if out != self.read:
            raise RuntimeError(
                f"rows are lost: {self.read} read, but {dict(self.written)} written, "
                f"{dict(self.quarantined)} quarantined and {dict(self.dropped)} dropped. "
                "This is a fault in BabelRank; please report it."
            )

    def check_bad_fraction(
        self,
        allowed: float,
        key: str = "ingest.max_bad_fraction",
        mend: str = "the input or the `data` section",
    ) -> None:
        """The bad-row gate.

        Args:
            allowed: The largest fraction of bad rows.
            key: What it is called where the user sets it.
            mend: What the user may mend instead.

        Raises:
            BadRowsError: More than `allowed` of the rows are bad.
            InputError: There are no rows at all.
        """
        if not self.read:
            raise InputError("the input has no rows; expected a header line and rows.")
        bad = sum(self.quarantined.values())
        if bad <= allowed * self.read:
            return
        lines = [
            f"{bad:,} of {self.read:,} rows are bad ({bad / self.read:.2%}; "
            f"{key} allows {allowed:.2%}). The commonest reasons:"
        ]
        for reason, count in self.quarantined.most_common(3):
            path, row = self.examples[reason]
            lines.append(f"  {reason}: {count:,} rows, such as {path}, {row.location.position}:")
            lines.append(f"    {row.detail}: {row.location.raw[:200]!r}")
        lines.append(f"Mend {mend}, or raise {key}.")
        raise BadRowsError("\n".join(lines))

    def check_spans(self, spans: Sequence[int]) -> None:
        """Says so when the newest of several spans has no rows: nothing could be judged by it.

        A span without rows inside the window is a day on which nothing happened.

        Raises:
            InputError: The newest span has no rows.
        """
        if len(spans) > 1 and not self.spans[str(spans[-1])]:
            raise InputError(
                f"span {spans[-1]}, the newest one, has no rows, so there is nothing new to learn "
                f"or to be judged by. Deliver it again with its rows; or, if there are none, name "
                f"it in spans.exclude, or wait for the next span."
            )

    def to_json(self) -> str:
        """JSON from which `from_json` makes an equal summary."""
        return json.dumps(
            {
                "read": self.read,
                "written": self.written,
                "quarantined": self.quarantined,
                "dropped": self.dropped,
                "spans": self.spans,
                "counts": self.counts,
                "examples": [quarantine_line(*example) for example in self.examples.values()],
            },
            indent=1,
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """The inverse of `to_json`."""
        data = json.loads(text)
        summary = cls(data["read"])
        for name in _COUNTERS:
            getattr(summary, name).update(data.get(name, {}))
        for line in data["examples"]:
            row = BadRow(Location(line["position"], line["raw"]), line["reason"], line["detail"])
            summary.examples[row.reason] = (line["file"], row)
        return summary


def quarantine_line(path: str, row: BadRow) -> dict[str, Any]:
    """A bad row as the quarantine stores it."""
    return {
        "file": path,
        "position": row.location.position,
        "reason": row.reason,
        "detail": row.detail,
        "raw": row.location.raw,
    }


def total(parts: Iterable[Summary]) -> Summary:
    """The sum of some summaries."""
    whole = Summary()
    for part in parts:
        whole.merge(part)
    return whole
