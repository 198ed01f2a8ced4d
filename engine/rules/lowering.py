"""From a syntax tree to conditions and terms: names resolved, types checked, NOT pushed down.

One pass carries two things downwards: whether the condition stands under an odd number of NOTs,
and how many candles back it is asked about.
"""

from __future__ import annotations

from engine.rules.diagnostics import Mistake, nearest
from engine.rules.names import DERIVED, FIELDS, Scope
from engine.rules.syntax import (
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
from engine.rules.terms import (
    OPERATIONS,
    Absolute,
    AllOf,
    AnyOf,
    Arithmetic,
    Compare,
    Condition,
    Const,
    Cross,
    Defined,
    Extreme,
    Field,
    Flag,
    Negated,
    Output,
    Param,
    Ref,
    Rolling,
    Run,
    Series,
    Term,
    Truth,
    reach,
)

__all__ = ["CONDITIONS", "MAX_HISTORY", "NUMBERS", "Lowering"]

MAX_HISTORY = 10_000
"""Longest look back of one ``x[k]``, ``highest(x, n)``, ``rising(x, n)``, candles."""

CONDITIONS = {
    "crosses_above": "crosses_above(a, b)",
    "crosses_below": "crosses_below(a, b)",
    "rising": "rising(x, n)",
    "falling": "falling(x, n)",
}
"""Functions that are true or false, and how they are called."""

NUMBERS = {
    "highest": "highest(x, n)",
    "lowest": "lowest(x, n)",
    "abs": "abs(x)",
    "min": "min(a, b, ...)",
    "max": "max(a, b, ...)",
}
"""Functions that give a number, and how they are called."""

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


class Lowering:
    """Lowers the rules of one strategy.

    Attributes:
        lookback: Candles beyond the indicators' warm-up until the rules lowered so far are all
            defined.
        memory: Candles before the present one that anything remembered is made of, each with
            its indicators.
        fixed: Parameters that shape what is remembered -> where; they cannot change live.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._head_start = max(0, scope.warmup - 1)
        self._remembering = ""  # the function whose argument is being lowered, if it remembers
        self.lookback = 0
        self.memory = 0
        self.fixed: dict[str, str] = {}

    def rule(self, text: str) -> Condition:
        """Lower one rule.

        Raises:
            Mistake: It is not in the language, names something unknown, or mixes types.
        """
        return self._condition(parse(text), negate=False, back=0)

    def _condition(self, node: Node, *, negate: bool, back: int) -> Condition:  # noqa: PLR0911 - one return per kind of node
        """Lower a condition, negated or not, as it was `back` candles ago."""
        match node:
            case Boolean(value=value):
                return Truth(value != negate)
            case Not(operand=operand):
                return self._condition(operand, negate=not negate, back=back)
            case Logic(operator=operator, operands=operands):
                items = tuple(self._condition(n, negate=negate, back=back) for n in operands)
                return AllOf(items) if (operator == "AND") != negate else AnyOf(items)
            case Comparison():
                return self._comparison(node, negate=negate, back=back)
            case History(of=of, back=count):
                further = self._length(count, 0, "history counts candles back")
                return self._condition(of, negate=negate, back=back + further)
            case Call(function=function) if function in CONDITIONS:
                return self._function(node, negate=negate, back=back)
            case Name(output=None, name=name):
                named = self._named(node, name, negate=negate, back=back)
                if named is not None:
                    return named
        self._number(node, 0)  # whatever is wrong inside is said first
        raise Mistake(
            f"{_describe(node)} is a number where a condition is needed; compare it, e.g. rsi < 30",
            node.place,
        )

    def _named(self, node: Node, name: str, *, negate: bool, back: int) -> Condition | None:
        """Lower a predicate or a boolean parameter; None if the name is neither."""
        definition = self._scope.predicates.get(name)
        if definition is not None:
            try:
                return self._condition(parse(definition), negate=negate, back=back)
            except Mistake as mistake:
                raise Mistake(
                    f"{name!r} is {definition!r}: {mistake.message}", node.place
                ) from mistake
        if isinstance(self._scope.parameters.get(name), bool):
            return Flag(name, not negate)
        return None

    def _comparison(self, node: Comparison, *, negate: bool, back: int) -> Condition:
        terms = [self._number(operand, back) for operand in node.operands]
        items = []
        for operator, a, b in zip(node.operators, terms[:-1], terms[1:], strict=True):
            items.append(_compare(_OPPOSITE[operator] if negate else operator, a, b))
        if len(items) == 1:
            return items[0]
        return AnyOf(tuple(items)) if negate else AllOf(tuple(items))

    def _function(self, node: Call, *, negate: bool, back: int) -> Condition:
        """Lower a function that is true or false."""
        a, b = _arguments(node, CONDITIONS[node.function], 2)
        if node.function in ("rising", "falling"):
            length = self._length(b, 1, f"{node.function} counts candles")
            run = Run(node.function == "rising", self._remembered(node.function, a))
            # Exact from the first candle on, but only all `length` steps make it defined.
            self._reaches(run.x, back + length)
            moves = Ref(run, back)
            if not negate:
                return Compare("<=", Const(float(length)), moves)
            known = Compare("<=", Const(length + 1.0), Ref(Defined(run.x), back))
            return AllOf((known, Compare("<", moves, Const(float(length)))))
        if node.function == "crosses_below":
            a, b = b, a  # a falls through b when b rises through a
        a1, b1 = self._number(a, back + 1), self._number(b, back + 1)
        a0, b0 = self._number(a, back), self._number(b, back)
        if not negate:
            return Cross(a1, b1, a0, b0)
        now = Compare("<=", a0, b0)
        before = Compare("<=", a1, b1)
        defined_now = AnyOf((now, Compare("<", b0, a0)))
        return AnyOf((AllOf((before, now)), AllOf((Compare("<", b1, a1), defined_now))))

    def _number(self, node: Node, back: int) -> Term:
        """Lower a number as it was `back` candles ago."""
        match node:
            case Number(value=value):
                return Const(value)
            case Minus(operand=operand):
                return _negated(self._number(operand, back))
            case Binary(operator=operator, left=left, right=right):
                return _arithmetic(operator, self._number(left, back), self._number(right, back))
            case History(of=of, back=count):
                further = self._length(count, 0, "history counts candles back")
                return self._number(of, back + further)
            case Call() if node.function in NUMBERS:
                return self._numeric_function(node, back)
            case Call() if node.function not in CONDITIONS:
                raise Mistake(self._no_function(node.function), node.place)
            case Name():
                return self._name(node, back)
        raise Mistake(
            f"{_describe(node)} is a condition where a number is needed; "
            "conditions are joined by AND, OR, NOT",
            node.place,
        )

    def _numeric_function(self, node: Call, back: int) -> Term:
        function = node.function
        if function == "abs":
            (x,) = _arguments(node, NUMBERS[function], 1)
            return _absolute(self._number(x, back))
        if function in ("min", "max"):
            given = _arguments(node, NUMBERS[function], max(2, len(node.arguments)))
            terms = [self._number(argument, back) for argument in given]
            result = terms[0]
            for term in terms[1:]:
                result = Extreme(function, result, term)
            return result
        x, count = _arguments(node, NUMBERS[function], 2)
        length = self._length(count, 1, f"{function} counts candles")
        kind = "max" if function == "highest" else "min"
        return self._series(Rolling(kind, self._remembered(function, x), length), back)

    def _remembered(self, function: str, node: Node) -> Term:
        """Lower an argument whose past values are kept, present value first."""
        outer, self._remembering = self._remembering, self._remembering or function
        try:
            return self._number(node, 0)
        finally:
            self._remembering = outer

    def _series(self, series: Series, back: int) -> Term:
        ref = Ref(series, back)
        self._reaches(ref)
        return ref

    def _reaches(self, term: Term, further: int = 0) -> None:
        """Note how far back a term reads, `further` candles from the present one."""
        self.lookback = max(self.lookback, further + reach(term, self._head_start))
        self.memory = max(self.memory, further + reach(term, 0))

    def _name(self, node: Name, back: int) -> Term:
        name, output = node.name, node.output
        entry = self._scope.indicators.get(name)
        if entry is not None:
            proper = entry.output(output)
            if proper is None:
                outputs = entry.spec.outputs
                raise Mistake(
                    f"indicator {name!r} has no output {output!r}{nearest(output or '', outputs)}; "
                    f"it has {', '.join(outputs)}",
                    node.output_place or node.place,
                )
            return self._series(Output(entry.alias_of, proper), back)
        if output is not None:
            raise Mistake(self._no_outputs(name), node.place)
        if name in FIELDS:
            return self._series(Field(name), back)
        if name in DERIVED:
            return self._number(parse(DERIVED[name]), back)
        value = self._scope.parameters.get(name)
        if isinstance(value, bool) or name in self._scope.predicates:
            raise Mistake(f"{name!r} is a condition where a number is needed", node.place)
        if value is None:
            raise Mistake(self._unknown(name), node.place)
        if self._remembering:
            self.fixed.setdefault(name, f"{self._remembering}(...) remembers values made with it")
        return Param(name)

    def _length(self, node: Node, least: int, what: str) -> int:
        """Read a number of candles: a whole number or the name of a parameter."""
        value: float | bool | None = None
        if isinstance(node, Number):
            value = node.value
        elif isinstance(node, Name) and node.output is None:
            value = self._scope.parameters.get(node.name)
            if value is None and node.name not in self._scope.known():
                raise Mistake(self._unknown(node.name), node.place)
            self.fixed.setdefault(node.name, "it is a number of candles to remember")
        if value is None or isinstance(value, bool) or not value.is_integer():
            raise Mistake(
                f"{what}: needs a whole number, or a parameter that holds one", node.place
            )
        if not least <= value <= MAX_HISTORY:
            raise Mistake(
                f"{what}: must be from {least} to {MAX_HISTORY}, got {value:g}", node.place
            )
        return int(value)

    def _unknown(self, name: str) -> str:
        usage = {**CONDITIONS, **NUMBERS}.get(name.lower())
        return f"{name!r} is a function, used as {usage}" if usage else self._scope.unknown(name)

    def _no_function(self, name: str) -> str:
        if name in self._scope.known():
            return f"{name!r} is not a function; write it without ( )"
        known = (*CONDITIONS, *NUMBERS)
        if self._scope.is_indicator(name):
            return (
                f"unknown function {name!r}: it is an indicator; declare it in `indicators` and "
                "use its name, with its parameters in the declaration"
            )
        return f"unknown function {name!r}{nearest(name, known)}; there are {', '.join(known)}"

    def _no_outputs(self, name: str) -> str:
        if name in self._scope.known():
            return f"{name!r} has no outputs; only indicators have, e.g. macd.hist"
        return self._unknown(name)


def _arguments(node: Call, usage: str, count: int) -> tuple[Node, ...]:
    given = len(node.arguments)
    if given != count:
        raise Mistake(f"{node.function} is called as {usage}, got {given} argument(s)", node.place)
    return node.arguments


def _describe(node: Node) -> str:
    if isinstance(node, Name):
        return repr(node.name if node.output is None else f"{node.name}.{node.output}")
    if isinstance(node, Call):
        return f"{node.function}(...)"
    if isinstance(node, Number):
        return f"{node.value:g}"
    return "this"


def _compare(operator: str, a: Term, b: Term) -> Compare:
    """Return the comparison with ``>`` and ``>=`` turned round."""
    if operator in (">", ">="):
        return Compare("<" if operator == ">" else "<=", b, a)
    return Compare(operator, a, b)


def _negated(x: Term) -> Term:
    return Const(-x.value) if isinstance(x, Const) else Negated(x)


def _absolute(x: Term) -> Term:
    return Const(abs(x.value)) if isinstance(x, Const) else Absolute(x)


def _arithmetic(operator: str, a: Term, b: Term) -> Term:
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(OPERATIONS[operator](a.value, b.value))
    return Arithmetic(operator, a, b)
