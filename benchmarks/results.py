"""What benchmarks leave behind: every run of every figure, and the machine it ran on."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from engine.errors import ConfigError

__all__ = [
    "FORMAT",
    "Better",
    "Case",
    "Figure",
    "Metric",
    "Mode",
    "Outcome",
    "Parameters",
    "Results",
    "label_of",
    "load_results",
    "save_results",
]

FORMAT = 1
"""Version of the results file; a file of another one is refused."""

Better = Literal["higher", "lower"]
Mode = Literal["full", "short"]
Parameters = dict[str, int | str]


class Metric(msgspec.Struct, frozen=True):
    """What a figure counts, and which direction is progress."""

    unit: str
    better: Better


class Figure(msgspec.Struct, frozen=True):
    """One measured quantity of one case: every run, and their median.

    Attributes:
        metric: Unit and direction.
        median: Of all runs, in the metric's unit.
        lowest: Smallest run.
        highest: Largest run.
        runs: In the order they were measured; warm-ups are not among them.
    """

    metric: Metric
    median: float
    lowest: float
    highest: float
    runs: tuple[float, ...]

    @classmethod
    def of(cls, metric: Metric, runs: Sequence[float]) -> Figure:
        """Summarise at least one run.

        >>> Figure.of(Metric("ms", "lower"), [3.0, 1.0, 2.0]).median
        2.0
        """
        return cls(metric, statistics.median(runs), min(runs), max(runs), tuple(runs))


class Case(msgspec.Struct, frozen=True):
    """A benchmark at one set of parameters, which say all that decides how much work it is."""

    parameters: Parameters
    figures: dict[str, Figure]

    @property
    def label(self) -> str:
        """Return the parameters in one line."""
        return label_of(self.parameters)


def label_of(parameters: Parameters) -> str:
    """Write parameters in one line.

    >>> label_of({"actors": 40, "sink": "none"})
    'actors=40, sink=none'
    """
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


class Outcome(msgspec.Struct, frozen=True):
    """What became of one benchmark.

    Attributes:
        id: Permanent, e.g. ``B-FANOUT``.
        title: What it measures.
        cases: Those that could be measured.
        skipped: Cases this machine cannot run, each with the reason.
        failed: Cases that went wrong, each with the cause.
        elapsed_s: Wall time of all its runs.
    """

    id: str
    title: str
    cases: tuple[Case, ...]
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    elapsed_s: float = 0.0


class Results(msgspec.Struct, frozen=True):
    """One session of benchmarks.

    Attributes:
        began: ISO 8601, UTC.
        mode: Short mode has fewer cases and runs; a case of the same parameters is the same work.
        machine: Processor, cores, memory, system and Python in one line.
        revision: Of the source, as git describes it; empty outside a checkout.
        versions: Of Chorus and of what it stands on.
        load: Processes ready to run in the minute before the start; above 1 others interfered.
        outcomes: In the order they ran.
        format: See `FORMAT`.
    """

    began: str
    mode: Mode
    machine: str
    revision: str
    versions: dict[str, str]
    load: float
    outcomes: tuple[Outcome, ...] = ()
    format: int = FORMAT


def save_results(results: Results, path: Path) -> None:
    """Write results as JSON; a reader sees the old file or the whole new one.

    Raises:
        ConfigError: The file cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(results), indent=2)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_bytes(text + b"\n")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise ConfigError(
            f"{path}: results cannot be written: {error.strerror or error}; "
            "name a file in a folder you may write to"
        ) from error


def load_results(path: Path) -> Results:
    """Read results back.

    Raises:
        ConfigError: There is no such file, or it holds no results of this format.
    """
    remedy = "write one with `chorus bench --json FILE`"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Results)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}; {remedy}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: must be a results file of the benchmarks: {error}; {remedy}"
        ) from error
    if found.format != FORMAT:
        raise ConfigError(f"{path}: must have format {FORMAT}, has format {found.format}; {remedy}")
    return found
