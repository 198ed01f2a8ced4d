"""Charts of results as SVG: lines over a number that varies, bars otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Case, Figure, Outcome, Results

__all__ = ["draw_charts", "varying_number"]

_SIZE_INCHES = (8.0, 4.5)
_WIDE_RANGE = 20
"""Largest over smallest value from which a logarithmic axis shows more (of lines; bars from 0)."""
_GROUP = 0.8
"""Height of all bars of one case; the rest keeps it apart from the next."""


def draw_charts(results: Results, folder: Path) -> list[str]:
    """Draw one chart per benchmark that has more than one figure to show.

    Returns:
        Names of the files written.

    Raises:
        ImportError: matplotlib is not installed; it belongs to the extra `bench`.
    """
    # Needed by nothing else, so the rest works without it.
    from matplotlib import rc_context  # noqa: PLC0415 - see above

    written = []
    # The same results give the same bytes; text stays text.
    with rc_context({"svg.hashsalt": "chorus", "svg.fonttype": "none"}):
        for outcome in results.outcomes:
            if sum(len(case.figures) for case in outcome.cases) > 1:
                name = f"{outcome.id}.svg"
                _draw(outcome).savefig(folder / name, metadata={"Date": None})
                written.append(name)
    return written


def varying_number(cases: Sequence[Case]) -> str:
    """Return the parameter that lines can be drawn over, empty if there is none.

    It is a number in every case, it varies, and cases that are alike in their words do not share
    it; of several the first.
    """
    for name in cases[0].parameters:
        values = [case.parameters.get(name) for case in cases]
        points = {(_words(case), value) for case, value in zip(cases, values, strict=True)}
        are_numbers = all(isinstance(value, int) for value in values)
        if are_numbers and len(set(values)) > 1 and len(points) == len(cases):
            return name
    return ""


def _words(case: Case) -> tuple[str, ...]:
    """Return the parameters that are no numbers; each combination has a line of its own."""
    return tuple(value for value in case.parameters.values() if isinstance(value, str))


def _draw(outcome: Outcome) -> Any:
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - see `draw_charts`

    canvas = Canvas(figsize=_SIZE_INCHES, layout="constrained")
    axes = canvas.subplots()
    over = varying_number(outcome.cases)
    if over:
        _lines(axes, outcome.cases, over)
    else:
        _bars(axes, outcome.cases)
    axes.set_title(f"{outcome.id}: {outcome.title}", fontsize="medium")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    return canvas


def _lines(axes: Any, cases: Sequence[Case], over: str) -> None:
    lines: dict[str, list[tuple[int | str, Figure]]] = {}
    common = set.intersection(*(set(_words(case)) for case in cases))
    for case in cases:
        told_apart = [word for word in _words(case) if word not in common]
        for name, figure in case.figures.items():
            label = ", ".join([name, *told_apart])
            lines.setdefault(label, []).append((case.parameters[over], figure))
    for label, points in lines.items():
        places, figures = zip(*points, strict=True)
        medians = [figure.median for figure in figures]
        axes.errorbar(places, medians, _spread(figures), label=label, marker="o", capsize=3)
    medians = [figure.median for points in lines.values() for _, figure in points]
    is_wide = 0 < min(medians) * _WIDE_RANGE < max(medians)
    axes.set(xlabel=over, ylabel=_unit(cases), yscale="log" if is_wide else "linear")


def _bars(axes: Any, cases: Sequence[Case]) -> None:
    names = list(dict.fromkeys(name for case in cases for name in case.figures))
    height = _GROUP / len(names)
    for n, name in enumerate(names):
        shown = [(row, c.figures[name]) for row, c in enumerate(cases) if name in c.figures]
        rows, figures = zip(*shown, strict=True)
        medians = [figure.median for figure in figures]
        places = [row + n * height for row in rows]
        axes.barh(places, medians, height, xerr=_spread(figures), label=name, capsize=3)
    middle = (_GROUP - height) / 2
    axes.set_yticks([row + middle for row in range(len(cases))], [case.label for case in cases])
    axes.invert_yaxis()
    axes.set(xlabel=_unit(cases))


def _spread(figures: Sequence[Figure]) -> list[list[float]]:
    """Return the distances from the medians down to the lowest and up to the highest runs."""
    return [
        [figure.median - figure.lowest for figure in figures],
        [figure.highest - figure.median for figure in figures],
    ]


def _unit(cases: Sequence[Case]) -> str:
    units = [figure.metric.unit for case in cases for figure in case.figures.values()]
    return ", ".join(dict.fromkeys(units))
