"""Figures and the file they are kept in."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results import FORMAT, Figure, Metric, Results, load_results, save_results
from engine.errors import ConfigError

MakeResults = Callable[..., Results]
MS = Metric("ms", "lower")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_a_figure_keeps_every_run_and_its_middle(values: list[float]) -> None:
    figure = Figure.of(MS, values)
    assert figure.runs == tuple(values)
    assert figure.lowest <= figure.median <= figure.highest
    assert {figure.lowest, figure.highest} <= set(values)
    below = sum(value <= figure.median for value in values)
    above = sum(value >= figure.median for value in values)
    assert min(below, above) >= len(values) / 2
    assert math.isclose(figure.median, statistics.median(reversed(values)))


def test_what_is_saved_is_read_back_with_all_runs(results: MakeResults, tmp_path: Path) -> None:
    saved = results({10: {"p50": [3.0, 1.0, 2.0]}, 40: {"p50": [9.5]}})
    path = tmp_path / "results.json"
    path.write_text("older")
    save_results(saved, path)
    assert load_results(path) == saved
    figure = json.loads(path.read_text())["outcomes"][0]["cases"][0]["figures"]["p50"]
    assert figure == {
        "metric": {"unit": "ms", "better": "lower"},
        "median": 2.0,
        "lowest": 1.0,
        "highest": 3.0,
        "runs": [3.0, 1.0, 2.0],
    }
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_results_that_cannot_be_written_say_where_and_leave_nothing(
    results: MakeResults, tmp_path: Path
) -> None:
    target = tmp_path / "results.json"
    target.mkdir()
    with pytest.raises(ConfigError, match=r"results\.json: results cannot be written: .*; name a"):
        save_results(results({1: {"x": [1.0]}}), target)
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("", "must be a results file"),
        ("{]", "must be a results file"),
        ('{"ledger_sha256": "ab"}', "must be a results file"),
        (b"\xff\xfe", "must be a results file"),
    ],
)
def test_a_baseline_that_is_none_is_refused_with_the_way_to_one(
    tmp_path: Path, content: str | bytes | None, message: str
) -> None:
    path = tmp_path / "base.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message) as raised:
        load_results(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert str(raised.value).endswith("write one with `chorus bench --json FILE`")


def test_results_of_another_format_are_refused(results: MakeResults, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    save_results(results({1: {"x": [1.0]}}), path)
    path.write_text(path.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'))
    with pytest.raises(ConfigError, match=f"must have format {FORMAT}, has format {FORMAT + 1}"):
        load_results(path)
