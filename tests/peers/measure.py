"""What every peer script reports about itself: time since exec, percentiles, peak memory. Standard library only."""

import os
import resource
import time
from collections.abc import Sequence


def since_exec_ms() -> float:
    """Milliseconds since the kernel started this process; the kernel's clock ticks are 10 ms wide."""
    with open("/proc/self/stat", encoding="ascii") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    return 1e3 * (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def peak_memory_mib() -> float:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds, nearest rank."""
    ranked = sorted(seconds)
    last = len(ranked) - 1
    return {name: round(1e3 * ranked[round(share * last)], 4) for name, share in (("p50", 0.5), ("p95", 0.95))}
