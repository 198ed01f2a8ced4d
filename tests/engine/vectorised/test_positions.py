"""The walk over codes against the strategy type's own if-chain, candle by candle."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.vectorised.positions import BITS, changes_of


def walk(codes: list[int]) -> list[tuple[int, int, int]]:
    """Return (row, before, after) of every change, as `RulesStrategy.on_candle` decides."""
    found = []
    side = 0
    for row, code in enumerate(codes):
        says = {name: bool(code & bit) for name, bit in BITS.items()}
        before = side
        if side == 0:
            side = 1 if says["entry"] else -1 if says["short_entry"] else 0
        elif side == 1:
            side = -1 if says["short_entry"] else 0 if says["exit"] else 1
        else:
            side = 1 if says["entry"] else 0 if says["short_exit"] else -1
        if side != before:
            found.append((row, before, side))
    return found


@given(st.lists(st.one_of(st.integers(0, 15), st.sampled_from([0, 3, 5, 15])), max_size=60))
def test_the_position_changes_as_the_strategy_type_decides(codes: list[int]) -> None:
    changes = changes_of(np.array(codes, dtype=np.uint8))
    assert list(zip(*(part.tolist() for part in changes), strict=True)) == walk(codes)
