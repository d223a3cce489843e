"""What the serving check found, as plain data; it stands in `check.json` beside its blessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "check.json"


@dataclass(frozen=True, kw_only=True)
class CheckFinding:
    """One sentence of the check.

    Attributes:
        ok: False if it alone is enough to refuse the model.
        text: What was asked, of which signature, what came, what was expected, what to do.
        request: The request with which it can be seen again, readable; empty where there is none.
    """

    ok: bool
    text: str
    request: str = ""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long a signature took, in milliseconds a request.

    Attributes:
        signature: Its name.
        batch: Examples in each request.
        requests: Requests that were timed.
    """

    signature: str
    batch: int
    requests: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What the check found.

    Attributes:
        ok: True when the model may be served.
        findings: Why, in sentences; those that refuse first.
        command: Shell command that repeats the check.
        compared: Examples whose outputs were compared with the trainer's.
        largest_difference: The largest difference of a score to the trainer's.
        latencies: By signature and batch.
        memory_mib: Peak memory of the process.
        load_seconds: Seconds to load the model.
        model_mib: Size of the model's files.
        operations: Number of different operations in the model.
        warmup_requests: Requests written for TensorFlow Serving's warm-up.
        versions: Of TensorFlow and what else the process ran with.
    """

    ok: bool
    findings: tuple[CheckFinding, ...]
    command: str
    compared: int = 0
    largest_difference: float = 0.0
    latencies: tuple[Latency, ...] = ()
    memory_mib: float = 0.0
    load_seconds: float = 0.0
    model_mib: float = 0.0
    operations: int = 0
    warmup_requests: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Writes it as `check.json`."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CheckReport:
        """The inverse of `save`."""
        plain: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        findings = tuple(CheckFinding(**one) for one in plain.pop("findings"))
        latencies = tuple(Latency(**one) for one in plain.pop("latencies"))
        return cls(findings=findings, latencies=latencies, **plain)
