from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rules.diagnostics import Mistake, Place
from engine.rules.syntax import (
    MAX_DEPTH,
    MAX_LENGTH,
    Binary,
    Boolean,
    Call,
    Comparison,
    History,
    Logic,
    Minus,
    Name,
    Node,
    Not,
    Number,
    parse,
)
from tests.examples import examples


def shape(node: Node) -> str:  # noqa: C901, PLR0911 - one case per kind of node
    """Write a tree with every grouping visible."""
    match node:
        case Number(value=value):
            return f"{value:g}"
        case Boolean(value=value):
            return str(value).lower()
        case Name(name=name, output=output):
            return name if output is None else f"{name}.{output}"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(shape, arguments))})"
        case History(of=of, back=back):
            return f"{shape(of)}[{shape(back)}]"
        case Minus(operand=operand):
            return f"(-{shape(operand)})"
        case Not(operand=operand):
            return f"(not {shape(operand)})"
        case Binary(operator=operator, left=left, right=right):
            return f"({shape(left)} {operator} {shape(right)})"
        case Comparison(operators=operators, operands=operands):
            rest = zip(operators, operands[1:], strict=True)
            return f"({shape(operands[0])}{''.join(f' {o} {shape(n)}' for o, n in rest)})"
        case Logic(operator=operator, operands=operands):
            return f"({f' {operator.lower()} '.join(map(shape, operands))})"
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("a or b and c", "(a or (b and c))"),
        ("a and b or c and d", "((a and b) or (c and d))"),
        ("(a or b) and c", "((a or b) and c)"),
        ("not a and b", "((not a) and b)"),
        ("not a < b", "(not (a < b))"),
        ("a and b and c", "(a and b and c)"),
        ("1 + 2 * 3 < 4 - 5 - 6", "((1 + (2 * 3)) < ((4 - 5) - 6))"),
        ("8 / 4 / 2 > -x * y", "(((8 / 4) / 2) > ((-x) * y))"),
        ("-x[1] > 0", "((-x[1]) > 0)"),
        ("(a - b)[2] > macd.hist[1]", "((a - b)[2] > macd.hist[1])"),
        ("30 < rsi <= 70", "(30 < rsi <= 70)"),
        ("crosses_above(a, b + 1)", "crosses_above(a, (b + 1))"),
        ("true or false", "(true or false)"),
        (".5 < 1. and 1e3 > 2E-2", "((0.5 < 1) and (1000 > 0.02))"),
    ],
)
def test_operators_bind_as_the_reference_says(text: str, grouped: str) -> None:
    assert shape(parse(text)) == grouped


@pytest.mark.parametrize(
    "text", ["a AND NOT b OR c", "a and not b or c", "a And Not b Or c", "a && !b || c", "a&&!b||c"]
)
def test_keywords_are_read_in_any_case_and_as_symbols(text: str) -> None:
    assert shape(parse(text)) == "((a and (not b)) or c)"


def test_functions_and_truth_values_are_read_in_any_case() -> None:
    assert shape(parse("RISING(x, 2) or TRUE")) == "(rising(x, 2) or true)"


def test_names_may_begin_with_a_keyword() -> None:
    assert shape(parse("andy or origin and nothing or trueish")) == (
        "(andy or (origin and nothing) or trueish)"
    )


def test_not_and_unequal_are_told_apart() -> None:
    assert shape(parse("!a != b")) == "(not (a != b))"


def test_nodes_know_where_they_start() -> None:
    node = parse("a AND\n  bb.upper > 3")
    assert isinstance(node, Logic)
    second = node.operands[1]
    assert isinstance(second, Comparison)
    assert second.place == Place(2, 3)
    assert second.operands[1].place == Place(2, 14)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("rsi <", Place(1, 6), "the rule ends too early; expected a value"),
        ("", Place(1, 1), "the rule ends too early; expected a value"),
        ("rsi = 70", Place(1, 5), "unexpected character '='; use == to compare"),
        ("rsi < 70 rsi", Place(1, 10), "unexpected 'rsi'; expected a comparison"),
        ("a AND\nb >> 3", Place(2, 4), "unexpected '>'; expected a value"),
        ("(a < b", Place(1, 7), "the rule ends too early; expected"),
        ("a < b)", Place(1, 6), "unexpected ')'; expected"),
        ("macd. > 1", Place(1, 7), "expected the name of an output after '.'"),
        ("rising(a, ) ", Place(1, 11), "unexpected ')'; expected a value"),
        ("a & b", Place(1, 3), "unexpected character '&'; use AND (or &&)"),
        ("rsi < 5 % 3", Place(1, 9), "unexpected character '%'; there is no remainder"),
        ("close[1", Place(1, 8), "or ']'"),
        ("a and and b", Place(1, 7), "unexpected 'and'; expected a value"),
        ("5rsi < 3", Place(1, 2), "unexpected 'rsi'; expected"),
        ("x < 1e999", Place(1, 5), "the number 1e999 is too large"),
    ],
)
def test_a_syntax_error_says_where_and_what_was_expected(
    text: str, place: Place, message: str
) -> None:
    with pytest.raises(Mistake) as caught:
        parse(text)
    assert caught.value.place == place
    assert message in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "-" * 3000 + "x > 0",
        "!" * 3000 + "x",
        "x" + "+x" * 1500 + " > 0",
        "x" + "[1]" * 1300 + " > 0",
        "abs(" * 700 + "x" + ")" * 700,
        "(x<" * 900 + "x" + ")" * 900,
    ],
)
def test_a_deeply_nested_rule_is_refused_not_a_stack_overflow(text: str) -> None:
    with pytest.raises(Mistake, match=f"nests more than {MAX_DEPTH} operators"):
        parse(text)


def test_parentheses_and_long_chains_do_not_count_as_nesting() -> None:
    assert shape(parse("(" * 1900 + "x" + ")" * 1900)) == "x"
    chain = parse(" AND ".join(["x"] * 500))
    assert isinstance(chain, Logic)
    assert len(chain.operands) == 500


def test_a_rule_that_is_too_long_is_refused() -> None:
    with pytest.raises(Mistake, match=f"is {MAX_LENGTH + 1} characters long"):
        parse(" " * MAX_LENGTH + "x")


@examples(300)
@given(st.text(alphabet="ab1.<>=!&|()[],+-*/ \nandortu", max_size=40) | st.text(max_size=20))
def test_any_text_is_parsed_or_refused_with_a_place_inside_it(text: str) -> None:
    try:
        parse(text)
    except Mistake as mistake:
        lines = text.split("\n")
        line, column = mistake.place
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
