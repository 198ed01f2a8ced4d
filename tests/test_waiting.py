"""Who waits gets what it waited for, or is told what there was instead."""

from __future__ import annotations

import pytest

from tests.waiting import until


def test_it_is_looked_at_until_it_is_so() -> None:
    looks = iter([0, None, "", "here", "later"])
    assert until(lambda: next(looks), every_s=0.0) == "here"


def test_what_is_never_so_fails_with_what_was_there_last() -> None:
    looked: list[int] = []
    with pytest.raises(AssertionError, match="not so within 0 s: 1 looks"):
        until(lambda: looked.append(1), lambda: f"{len(looked)} looks", within_s=0.0)
