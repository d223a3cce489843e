"""A process that feeds targets, so that a crash, a hang or a memory bomb is a failed test.

    python -m tests.fuzz.child EXAMPLES TARGET...

Prints a JSON line for each target: its name, the number of inputs and, if a promise was broken,
the traceback with the smallest input that breaks it. The same inputs come in every run, unless
`BABELRANK_FUZZ_RANDOM` is set.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings

import babelrank  # noqa: F401
from tests.fuzz import seeds, targets

LONGEST = 60
"""Seconds for one input before it counts as a hang; the machine may be busy."""

MEMORY = 3 << 30
"""Bytes that the process may take beyond those that its libraries take."""


def main(examples: int, names: list[str]) -> None:
    """Feeds the targets."""
    limit_memory()
    binary = seeds.binary() if set(names) - set(seeds.SEEDS) else {}
    for name in names:
        known = seeds.SEEDS.get(name) or binary[name]
        inputs, problem = feed(targets.TARGETS[name], known, examples)
        sys.stdout.write(json.dumps({"target": name, "inputs": inputs, "problem": problem}) + "\n")
        sys.stdout.flush()


def feed(target: Callable[[bytes], None], known: list[bytes], examples: int) -> tuple[int, str]:
    """The number of inputs that a target was given, and what went wrong; empty: nothing."""
    inputs = 0

    @settings(
        max_examples=examples,
        derandomize="BABELRANK_FUZZ_RANDOM" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(seeds.mutations(known))
    def every(data: bytes) -> None:
        nonlocal inputs
        inputs += 1
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        target(data)

    try:
        for seed in known:
            inputs += 1
            target(seed)
        every()
    except Exception:
        return inputs, traceback.format_exc()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return inputs, ""


def limit_memory(more: int = MEMORY) -> None:
    """Lets the process have no more than so many bytes from here on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
