"""What every benchmark shares: the machine line, repeated runs, results on disk."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Result", "machine_line", "percentiles", "repeat", "save"]

Result = dict[str, Any]


def machine_line() -> str:
    """Return processor, cores, memory and versions in one line."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and max of a sample (nearest rank)."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": ordered[round(last * 0.50)],
        "p99": ordered[round(last * 0.99)],
        "max": ordered[-1],
    }


def repeat(measure: Callable[[], Mapping[str, float]], runs: int) -> dict[str, float]:
    """Return the median of each figure over several runs, the first one not counted."""
    measure()
    samples = [measure() for _ in range(runs)]
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def save(results: Sequence[Result], path: Path) -> None:
    """Write results with the machine line as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine_line(), "results": list(results)}
    path.write_text(json.dumps(document, indent=2) + "\n")
