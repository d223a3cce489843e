"""In which arithmetic products run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


def resolve(wanted: str) -> str:
    """`auto` as "bfloat16" where the device multiplies it natively, else "float32"."""
    if wanted != "auto":
        return wanted
    if tf.config.list_logical_devices("TPU"):
        return "bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return "bfloat16" if details.get("compute_capability", (0, 0)) >= (8, 0) else "float32"
    return "bfloat16" if _FLAGS & cpu_flags() else "float32"


@contextlib.contextmanager
def policy(precision: str) -> Iterator[None]:
    """Layers that are made within calculate in this precision, with float32 variables.

    Args:
        precision: float32, bfloat16 or float16.
    """
    before = tf.keras.mixed_precision.global_policy()
    name = "float32" if precision == "float32" else f"mixed_{precision}"
    tf.keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def cpu_flags() -> set[str]:
    """Instruction sets of the processor, where Linux tells them."""
    if not _CPUINFO.exists():
        return set()
    for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
