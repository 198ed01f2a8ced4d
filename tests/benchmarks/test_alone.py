"""A benchmark as a program of its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Scenario
from benchmarks.results import load_results

MakeScenario = Callable[..., Scenario]


def arguments_of(*words: str) -> argparse.Namespace:
    return parser_of("B-TEST: a test.\nMore.", runs=2).parse_args(words)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "x", "²"])
def test_a_count_must_be_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        positive(text)
    assert positive("12") == 12


def test_it_prints_the_table_and_writes_the_results(
    scenario: MakeScenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "bench.json"
    trials = scenario([9.0, 1.0, 2.0, 3.0]).trials("full")
    run_alone(scenario([]), trials, arguments_of("--json", str(target)))
    assert "| B-TEST | actors=1 | Chorus | 2 | 1 … 3 | ms | 3 |" in capsys.readouterr().out
    assert load_results(target).outcomes[0].cases[0].figures["Chorus"].runs == (1.0, 2.0, 3.0)


def test_results_that_cannot_be_written_are_printed_all_the_same(
    scenario: MakeScenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = scenario([9.0, 1.0, 2.0, 3.0]).trials("full")
    with pytest.raises(SystemExit) as ended:
        run_alone(scenario([]), trials, arguments_of("--json", str(tmp_path)))
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert "1 … 3" in printed.out
    assert printed.err.startswith(f"error: {tmp_path}: results cannot be written")
