"""One benchmark as a program of its own, with its own options beside the common ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness import Scenario, Trial, record
from benchmarks.results import save_results
from benchmarks.tables import markdown

__all__ = ["parser_of", "run_alone"]


def parser_of(doc: str | None, *, runs: int = 1) -> argparse.ArgumentParser:
    """Return a parser that knows ``--runs`` and ``--json``.

    Args:
        doc: Of the benchmark's module; its first line describes the program.
        runs: Default of ``--runs``.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument(
        "--runs", type=int, default=runs, help="runs of each case; the median counts"
    )
    parser.add_argument("--json", type=Path, default=None, help="write the results here")
    return parser


def run_alone(scenario: Scenario, trials: Sequence[Trial], arguments: argparse.Namespace) -> None:
    """Measure cases of one benchmark and print them; ``--json`` writes them too."""
    chosen = msgspec.structs.replace(scenario, trials=lambda _mode: trials)
    results = record([chosen], "full")
    print(markdown(results))
    if arguments.json is not None:
        save_results(results, arguments.json)
