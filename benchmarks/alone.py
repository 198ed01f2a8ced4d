"""One benchmark as a program of its own, with its own options beside the common ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness import Scenario, Trial, record
from benchmarks.results import save_results
from benchmarks.tables import markdown
from engine.errors import ConfigError

__all__ = ["parser_of", "positive", "run_alone"]

_FAILED = 1
_UNUSABLE = 2


def positive(text: str) -> int:
    """Read a whole number above 0; a type of argparse.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0 (found {text!r})")
    return int(text)


def parser_of(doc: str | None, *, runs: int = 1) -> argparse.ArgumentParser:
    """Return a parser that knows ``--runs`` and ``--json``.

    Args:
        doc: Of the benchmark's module; its first line describes the program.
        runs: Default of ``--runs``.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument(
        "--runs", type=positive, default=runs, help="runs of each case; the median counts"
    )
    parser.add_argument("--json", type=Path, default=None, help="write the results here")
    return parser


def run_alone(scenario: Scenario, trials: Sequence[Trial], arguments: argparse.Namespace) -> None:
    """Measure cases of one benchmark and print them; ``--json`` writes them too.

    Raises:
        SystemExit: With code 1 if a case failed, 2 if the results cannot be written.
    """
    chosen = msgspec.structs.replace(scenario, trials=lambda _mode: trials)
    results = record([chosen], "full")
    print(markdown(results))
    if arguments.json is not None:
        try:
            save_results(results, arguments.json)
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(_UNUSABLE)
    if any(outcome.failed for outcome in results.outcomes):
        sys.exit(_FAILED)
