"""What a strategy file may not do is found wherever it is written, and nothing else is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog import default_folders
from engine.catalog.code_checks import FORBIDDEN_CALLS, FORBIDDEN_MODULES, check_code
from tests.examples import examples


@pytest.mark.parametrize("name", sorted(FORBIDDEN_MODULES))
@pytest.mark.parametrize("form", ["import {}", "import {}.deep as x", "from {}.deep import thing"])
def test_forbidden_modules_are_found_in_every_form(form: str, name: str) -> None:
    (problem,) = check_code(f"class A:\n    def f(self):\n        {form.format(name)}\n")
    assert (problem.line, problem.column) == (3, 9)
    assert FORBIDDEN_MODULES[name] in problem.message


@pytest.mark.parametrize("name", sorted(FORBIDDEN_CALLS))
@pytest.mark.parametrize("form", ["{}('1')", "f = {}", "x = [*map({}, 'ab')]", "@{}\nclass A: ..."])
def test_forbidden_functions_are_found_even_where_they_are_only_named(form: str, name: str) -> None:
    assert any(
        f"{name!r} ({FORBIDDEN_CALLS[name]})" in p.message for p in check_code(form.format(name))
    )


@pytest.mark.parametrize(
    "source",
    [
        "().__class__.__bases__[0].__subclasses__()",
        "getattr(f, '__globals__')['x']",
        "print(__builtins__)",
    ],
)
def test_ways_around_through_the_innards_are_found(source: str) -> None:
    assert check_code(source)


@pytest.mark.parametrize(
    "source",
    [
        "import math\nfrom decimal import Decimal\nimport numpy as np\n",
        "from . import os",
        "class A:\n    def open(self): ...\n    def f(self):\n        self.open(); self.eval = 1\n",
        "evaluate = 'eval and os.system'  # import os",
        "open_price = high = 1",
    ],
)
def test_what_only_looks_like_it_is_allowed(source: str) -> None:
    assert check_code(source) == []


def test_the_types_that_come_with_chorus_pass() -> None:
    files = [
        file for folder in default_folders() if folder.is_dir() for file in folder.glob("*.py")
    ]
    assert len(files) > 4
    for file in files:
        if file.name not in ("base.py", "__init__.py"):
            assert check_code(file.read_bytes()) == [], file


@pytest.mark.parametrize(
    "source", ["def f(:", b"\xff\xfe\x00", "x = '\x00'", "(" * 5000, "a" + ".b" * 100_000 + "\n-"]
)
def test_what_is_no_python_is_said_to_be_none(source: str | bytes) -> None:
    with pytest.raises(SyntaxError):
        check_code(source)


@examples(100)
@given(source=st.text(), wrapped=st.sampled_from(["{}", "x = {!r}", "# {}"]))
def test_any_text_is_judged_or_refused(source: str, wrapped: str) -> None:
    text = wrapped.format(source)
    try:
        expected = isinstance(ast.parse(text), ast.Module)
    except (SyntaxError, ValueError):
        expected = False
    try:
        check_code(text)
    except SyntaxError:
        assert not expected
    else:
        assert expected


def test_a_file_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    check_code(f"open({str(trace)!r}, 'w').write('ran')")
    assert not trace.exists()
