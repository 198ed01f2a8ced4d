"""A set of indicators as calculations in dependency order; equal ones appear once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from indicators.bars import PRICES
from indicators.errors import IndicatorError, did_you_mean
from indicators.info import IndicatorInfo
from indicators.parameters import ParameterValue
from indicators.specs import IndicatorSpec

__all__ = ["Node", "Plan", "plan"]


@dataclass(frozen=True, slots=True)
class Node:
    """One calculation of a set.

    Attributes:
        info: Its catalogue entry.
        items: Its parameters.
        inputs: What it reads: a slot, or ``~i`` (negative) for price ``PRICES[i]``.
        first: Its first slot; its outputs take the next ``width`` slots.
        width: Number of outputs.
        warmup: Bars until its first value, those of its sources included.
    """

    info: IndicatorInfo
    items: tuple[tuple[str, ParameterValue], ...]
    inputs: tuple[int, ...]
    first: int
    width: int
    warmup: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The calculations of a set, sources before those that read them.

    Attributes:
        nodes: In the order of evaluation.
        node_of: Own name -> its node; several names may share one.
        size: Number of slots.
        warmup: Bars until everything is ready.
        sources: Slots that other calculations read.
    """

    nodes: tuple[Node, ...]
    node_of: Mapping[str, Node]
    size: int
    warmup: int
    sources: frozenset[int]

    def slot(self, name: str, output: str | None) -> int:
        """Return the slot of an output.

        Raises:
            IndicatorError: Unknown indicator or output.
        """
        node = self.node_of.get(name)
        if node is None:
            raise IndicatorError(
                f"indicator {name!r}: not in this set{did_you_mean(name, self.node_of)}; "
                f"there is {', '.join(self.node_of) or 'none'}"
            )
        return node.first + node.info.output_index(output)


class _Planner:
    """Depth-first walk that gives every spec its node and refuses cycles."""

    def __init__(self, specs: Mapping[str, IndicatorSpec]) -> None:
        self._specs = specs
        self._by_key: dict[tuple[object, ...], Node] = {}
        self._path: list[str] = []
        self.node_of: dict[str, Node] = {}
        self.nodes: list[Node] = []
        self.size = 0

    def visit(self, name: str) -> Node:
        if name in self.node_of:
            return self.node_of[name]
        if name in self._path:
            cycle = [*self._path[self._path.index(name) :], name]
            raise IndicatorError(
                f"indicator {name!r}: reads itself: {' -> '.join(cycle)}; "
                "a source must lead back to a price"
            )
        self._path.append(name)
        spec = self._specs[name]
        resolved = [self._resolve(name, source) for source in spec.sources]
        self._path.pop()
        inputs = tuple(code for code, _ in resolved)
        key = (spec.type, spec.items, inputs)
        node = self._by_key.get(key)
        if node is None:
            info = spec.info
            delay = max(warmup for _, warmup in resolved) - 1
            node = Node(
                info=info,
                items=spec.items,
                inputs=inputs,
                first=self.size,
                width=len(info.outputs),
                warmup=info.maker.warmup(dict(spec.items)) + delay,
            )
            self._by_key[key] = node
            self.nodes.append(node)
            self.size += node.width
        self.node_of[name] = node
        return node

    def _resolve(self, name: str, source: str) -> tuple[int, int]:
        """Return the code of a source (see `Node.inputs`) and the bars until it has a value."""
        owner, dot, output = source.partition(".")
        if owner in self._specs:
            node = self.visit(owner)
            return node.first + node.info.output_index(output if dot else None), node.warmup
        if source in PRICES:
            return ~PRICES.index(source), 1
        known = [*PRICES[:-1], *self._specs]
        raise IndicatorError(
            f"indicator {name!r}: source {source!r} is neither a price nor an indicator "
            f"of this set{did_you_mean(source, known)}; there is {', '.join(known)}"
        )


def plan(specs: Mapping[str, IndicatorSpec]) -> Plan:
    """Return the plan of a set; equal sets share one.

    Raises:
        IndicatorError: A name is taken, a source unknown, or indicators read each other in a
            circle.
    """
    return _plan(tuple(specs.items()))


@lru_cache(maxsize=1024)
def _plan(items: tuple[tuple[str, IndicatorSpec], ...]) -> Plan:
    planner = _Planner(dict(items))
    for name, _ in items:
        _check_name(name)
        planner.visit(name)
    return Plan(
        nodes=tuple(planner.nodes),
        node_of=planner.node_of,
        size=planner.size,
        warmup=max((node.warmup for node in planner.nodes), default=1),
        sources=frozenset(code for node in planner.nodes for code in node.inputs if code >= 0),
    )


def _check_name(name: str) -> None:
    if name in PRICES:
        raise IndicatorError(f"indicator {name!r}: a price has this name; choose another")
    if not name or "." in name or "," in name:
        raise IndicatorError(f"indicator {name!r}: a name must not be empty or hold '.' or ','")
