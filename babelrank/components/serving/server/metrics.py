"""What the server counts, for Prometheus."""

from __future__ import annotations

from typing import Any

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_OTHER = "(none)"
"""Label of requests that are for no model; names that are not served would fill the memory."""


class Metrics:
    """The server's figures, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter(
            "babelrank_requests", "Requests that were answered.", ["model", "code"], **own
        )
        self._latency = Histogram(
            "babelrank_request_seconds",
            "Seconds from the request to the answer.",
            ["model"],
            buckets=_LATENCIES,
            **own,
        )
        self._batches = Histogram(
            "babelrank_batch_items",
            "Rows or lines that went through the model together.",
            ["model"],
            buckets=_BATCHES,
            **own,
        )
        self._queue = Gauge("babelrank_queue_items", "Rows or lines that wait.", ["model"], **own)
        self._version = Gauge("babelrank_model_version", "Version that answers.", ["model"], **own)
        self._loaded = Gauge(
            "babelrank_model_loaded_timestamp_seconds", "When it was loaded.", ["model"], **own
        )
        self._loads = Histogram(
            "babelrank_model_load_seconds",
            "Seconds that loading and warming took.",
            ["model"],
            buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
            **own,
        )
        self._failures = Counter(
            "babelrank_model_load_failures", "Versions that were refused.", ["model"], **own
        )
        self._memory = Gauge("babelrank_resident_bytes", "Memory of the process.", **own)
        self._memory.set_function(resident_bytes)

    def add(self, model: str, waiting: Any) -> None:
        """Shows a model before its first request; `waiting()` tells its queue."""
        self._queue.labels(model).set_function(waiting)
        self._failures.labels(model)
        self._requests.labels(model, "200")

    def request(self, model: str | None, code: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(model or _OTHER, str(code)).inc()
        if model is not None:
            self._latency.labels(model).observe(seconds)

    def batch(self, model: str, size: int) -> None:
        """A batch goes through a model."""
        self._batches.labels(model).observe(size)

    def changed(self, model: str, version: str, seconds: float) -> None:
        """A version answers from now on."""
        self._version.labels(model).set(float(version) if version.isdecimal() else 0)
        self._loaded.labels(model).set_to_current_time()
        self._loads.labels(model).observe(seconds)

    def refused(self, model: str) -> None:
        """A version is not served."""
        self._failures.labels(model).inc()


def resident_bytes() -> float:
    """Memory of this process, in bytes; NaN where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("VmRSS:"))
    except (OSError, StopIteration):
        return float("nan")
    return float(line.split()[1]) * 1024
