"""Peak memory of a process."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

MIB = 1 << 20
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def peak_mib(process: int | None = None) -> float:
    """Peak memory of a process, in MiB.

    Args:
        process: Its id; None: this one.

    Returns:
        The memory; of another process 0 where the system does not tell.
    """
    try:
        status = Path(f"/proc/{process or 'self'}/status").read_text()
    except OSError:
        status = ""
    found = _PEAK.search(status)
    if found:
        return int(found[1]) / 1024
    if process is not None:
        return 0.0
    # Not on Linux, where it counts the parent's memory too, of before this program was started.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
