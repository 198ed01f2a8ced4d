"""Tables and charts say what the results say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from benchmarks.charts import draw_charts, varying_number
from benchmarks.comparison import compare
from benchmarks.results import Case, Results
from benchmarks.tables import change_rows, figure_rows, markdown

MakeResults = Callable[..., Results]


def test_the_page_has_the_figures_the_machine_and_the_changes(results: MakeResults) -> None:
    before = results({10: {"Chorus": [1.0, 1.1, 1.2]}, 40: {"Chorus": [2.0] * 3}})
    now = results({10: {"Chorus": [2.2, 2.0, 2.4]}, 40: {"Chorus": [2.0] * 3}})
    page = markdown(now, changes=compare(before, now), cautions=["mind"], charts=["B-TEST.svg"])
    for text in (
        "- box",
        "ray 2.60.0; revision abc1234",
        "| benchmark | case | figure | median | min … max | unit | runs |",
        "| B-TEST | actors=10 | Chorus | 2.2 | 2 … 2.4 | ms | 3 |",
        "| B-TEST | actors=10 | Chorus | 1.1 | 2.2 | ms | 2.00 | WORSE |",
        "| B-TEST | actors=40 | Chorus | 2 | 2 | ms | 1.00 | within spread |",
        "- mind",
        "![B-TEST](B-TEST.svg)",
    ):
        assert text in page.split("\n") or text in page
    assert "baseline" not in markdown(now)


def test_cases_without_figures_are_named_with_the_reason(results: MakeResults) -> None:
    one = results({10: {"Chorus": [1.0]}})
    (outcome,) = one.outcomes
    broken = msgspec.structs.replace(outcome, skipped=("n=9: too big",), failed=("n=8: it ended",))
    page = markdown(msgspec.structs.replace(one, outcomes=(broken,)))
    assert "- B-TEST failed: n=8: it ended" in page
    assert "- B-TEST skipped: n=9: too big" in page


def test_rows_are_as_wide_as_their_headings(results: MakeResults) -> None:
    old, new = results({1: {"x": [1.0]}}), results({2: {"y": [1234.5]}})
    table = re.findall(r"^\|.*\|$", markdown(new, changes=compare(old, new)), re.MULTILINE)
    assert {line.count("|") for line in table[:3]} == {8}
    assert {line.count("|") for line in table[3:]} == {9}
    assert figure_rows(new)[0][3] == "1,234"
    assert [row[3:6] for row in change_rows(compare(old, new))] == [
        ("-", "1,234", "ms"),
        ("1", "-", "ms"),
    ]


@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        ([{"actors": 10, "candles": 300}, {"actors": 40, "candles": 300}], "actors"),
        ([{"actors": 10}, {"actors": 10}], ""),
        ([{"policy": "net"}, {"policy": "first"}], ""),
        ([{"actors": 10}], ""),
        ([{"kind": "a", "actors": 10}, {"kind": "b", "actors": 10}], ""),
        ([{"kind": k, "actors": n} for k in "ab" for n in (10, 40)], "actors"),
    ],
)
def test_lines_are_drawn_over_the_one_thing_that_varies(
    parameters: list[dict[str, int | str]], number: str
) -> None:
    assert varying_number(tuple(Case(each, {}) for each in parameters)) == number


def test_cases_that_differ_in_words_get_lines_of_their_own(
    results: MakeResults, tmp_path: Path
) -> None:
    drawn = results({10: {"Chorus": [1.0]}, 40: {"Chorus": [2.0]}})
    (outcome,) = drawn.outcomes
    cases = tuple(
        Case({**case.parameters, "kind": kind, "all": "alike"}, case.figures)
        for kind in ("idle", "trades")
        for case in outcome.cases
    )
    outcome = msgspec.structs.replace(outcome, cases=cases)
    draw_charts(msgspec.structs.replace(drawn, outcomes=(outcome,)), tmp_path)
    text = (tmp_path / "B-TEST.svg").read_text()
    assert ">Chorus, idle<" in text
    assert ">Chorus, trades<" in text


def test_charts_show_every_figure_and_are_the_same_twice(
    results: MakeResults, tmp_path: Path
) -> None:
    drawn = results({10: {"Chorus": [1.0, 2.0], "Ray": [10.0, 20.0]}, 40: {"Chorus": [5.0]}})
    single = results({1: {"Chorus": [1.0]}}, name="B-ONE")
    both = msgspec.structs.replace(drawn, outcomes=(*drawn.outcomes, *single.outcomes))
    pages = []
    for _ in range(2):
        assert draw_charts(both, tmp_path) == ["B-TEST.svg"]
        pages.append((tmp_path / "B-TEST.svg").read_bytes())
    assert pages[0] == pages[1]
    for text in (b">Chorus<", b">Ray<", b">actors<", b">ms<", b"B-TEST: a test"):
        assert text in pages[0]
