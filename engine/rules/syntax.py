"""From the text of a rule to its syntax tree (the grammar is `rules.lark`).

lark's LALR parser keeps its own stack and the tree is built while it reduces, so no text,
however deeply nested, can exhaust Python's stack here; `MAX_DEPTH` then bounds what every later
step recurses over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import lark
from lark import Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from engine.rules.diagnostics import Mistake, Place

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "Binary",
    "Boolean",
    "Call",
    "Comparison",
    "History",
    "Logic",
    "Minus",
    "Name",
    "Node",
    "Not",
    "Number",
    "parse",
]

MAX_LENGTH = 4000
"""Longest rule text, characters."""

MAX_DEPTH = 64
"""Deepest nesting of operators in one rule (``a AND b AND c`` and parentheses do not nest)."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a rule: where it starts and how deep the tree below it is."""

    place: Place
    depth: int


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number literal."""

    value: float


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class Name(Node):
    """``name`` or ``name.output``."""

    name: str
    output: str | None
    output_place: Place | None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``function(arguments)``; the function's name is in lower case."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class History(Node):
    """``of[back]``: the value `back` candles ago."""

    of: Node
    back: Node


@dataclass(frozen=True, slots=True)
class Minus(Node):
    """Unary minus."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic: operator is one of ``+ - * /``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """``a < b`` or a chain ``a < b <= c``: one operator fewer than operands."""

    operators: tuple[str, ...]
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """Negation of a condition."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """``AND``/``OR`` of two or more conditions."""

    operator: str
    operands: tuple[Node, ...]


def parse(text: str) -> Node:
    """Parse one rule.

    Raises:
        Mistake: The text is too long, too deeply nested, or not in the language.
    """
    if len(text) > MAX_LENGTH:
        raise Mistake(
            f"the rule is {len(text)} characters long; at most {MAX_LENGTH} are allowed",
            Place(1, 1),
        )
    try:
        node: Node = _parser().parse(text)  # type: ignore[assignment]  # the transformer's result
    except (UnexpectedCharacters, UnexpectedToken) as error:
        raise _explain(text, error) from None
    return node


@lru_cache(maxsize=1)
def _parser() -> lark.Lark:
    """Build the parser once per process, at its first use."""
    return lark.Lark.open(
        "rules.lark",
        rel_to=__file__,
        parser="lalr",
        # "basic": every word is read the same everywhere, so a misplaced one is named as a word.
        lexer="basic",
        maybe_placeholders=False,  # lark: what is optional and absent leaves nothing behind
        transformer=_Builder(),
    )


def _place(token: Token) -> Place:
    return Place(token.line or 1, token.column or 1)


def _depth(place: Place, *below: Node) -> int:
    """Return the depth of a node over `below`, refusing what later steps could not recurse."""
    depth = 1 + max(node.depth for node in below)
    if depth > MAX_DEPTH:
        raise Mistake(
            f"the rule nests more than {MAX_DEPTH} operators; split it or name a part of it "
            "with an indicator",
            place,
        )
    return depth


@v_args(inline=True)
class _Builder(Transformer[Token, Node]):
    """Builds the syntax tree bottom-up while lark reduces."""

    def number(self, token: Token) -> Node:
        value = float(token)
        if not math.isfinite(value):
            raise Mistake(f"the number {token} is too large", _place(token))
        return Number(_place(token), 1, value)

    def true(self, token: Token) -> Node:
        return Boolean(_place(token), 1, value=True)

    def false(self, token: Token) -> Node:
        return Boolean(_place(token), 1, value=False)

    def name(self, name: Token, output: Token | None = None) -> Node:
        if output is None:
            return Name(_place(name), 1, str(name), None, None)
        return Name(_place(name), 1, str(name), str(output), _place(output))

    def call(self, function: Token, *arguments: Node) -> Node:
        place = _place(function)
        depth = _depth(place, *arguments) if arguments else 1
        return Call(place, depth, function.lower(), arguments)

    def history(self, of: Node, back: Node) -> Node:
        return History(of.place, _depth(of.place, of, back), of, back)

    def minus(self, sign: Token, operand: Node) -> Node:
        return Minus(_place(sign), _depth(_place(sign), operand), operand)

    def binary(self, left: Node, operator: Token, right: Node) -> Node:
        return Binary(left.place, _depth(_place(operator), left, right), str(operator), left, right)

    def comparison(self, *parts: Any) -> Node:
        operands: tuple[Node, ...] = parts[::2]
        depth = _depth(operands[0].place, *operands)
        return Comparison(operands[0].place, depth, tuple(map(str, parts[1::2])), operands)

    def negate(self, sign: Token, operand: Node) -> Node:
        return Not(_place(sign), _depth(_place(sign), operand), operand)

    def conjunction(self, *operands: Node) -> Node:
        return Logic(operands[0].place, _depth(operands[0].place, *operands), "AND", operands)

    def disjunction(self, *operands: Node) -> Node:
        return Logic(operands[0].place, _depth(operands[0].place, *operands), "OR", operands)


_HINTS = {
    "=": "use == to compare",
    "&": "use AND (or &&)",
    "|": "use OR (or ||)",
    "^": "there is no power operator; multiply",
    "%": "there is no remainder operator; write 2 % as 0.02",
    "'": "names are written without quotes",
    '"': "names are written without quotes",
    "{": "use ( ) to group",
    "}": "use ( ) to group",
    "]": "'[' opens history, as in close[1]",
}

_WORDS = (
    ({"NUMBER"}, "a value (a number, a name, a function call or '(')"),
    ({"COMPARE"}, "a comparison (< <= > >= == !=)"),
    ({"PLUS"}, "an arithmetic operator (+ - * /)"),
    ({"_AND", "_OR"}, "AND or OR"),
    ({"COMMA"}, "','"),
    ({"RPAR"}, "')'"),
    ({"RSQB"}, "']'"),
    ({"$END"}, "the end of the rule"),
)


def _explain(text: str, error: UnexpectedCharacters | UnexpectedToken) -> Mistake:
    """Say in words what the parser stumbled over."""
    if isinstance(error, UnexpectedCharacters):
        character = text[error.pos_in_stream or 0]
        hint = f"; {_HINTS[character]}" if character in _HINTS else ""
        return Mistake(
            f"unexpected character {character!r}{hint}",
            Place(error.line, error.column),
            caret=True,
        )
    wanted = _expected(set(error.accepts))
    if error.token.type == "$END":
        lines = text.split("\n")
        return Mistake(
            f"the rule ends too early; expected {wanted}",
            Place(len(lines), len(lines[-1]) + 1),
            caret=True,
        )
    return Mistake(
        f"unexpected {str(error.token)!r}; expected {wanted}", _place(error.token), caret=True
    )


def _expected(terminals: set[str]) -> str:
    """Turn the parser's terminal names into words."""
    if terminals == {"NAME"}:
        return "the name of an output after '.'"
    words = [text for group, text in _WORDS if terminals & group]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
