"""Waiting for the end of a service's loop."""

from __future__ import annotations

import threading

import pytest

from actors.ending import Ending


def test_a_later_caller_releases_the_one_before() -> None:
    ending = Ending()
    first = threading.Thread(target=ending.wait)
    first.start()
    second = threading.Thread(target=ending.wait)
    # Whichever of the two comes first, it is released by the other.
    second.start()
    ending_threads = [first, second]
    while all(thread.is_alive() for thread in ending_threads):
        first.join(0.01)
    with ending.of():
        pass
    for thread in ending_threads:
        thread.join(5.0)
        assert not thread.is_alive()


def test_what_ended_the_loop_is_raised_to_whoever_waits_then_or_later() -> None:
    ending = Ending()
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            ending.wait()
        except ValueError as error:
            seen.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    with pytest.raises(ValueError, match="boom"), ending.of():
        raise ValueError("boom")
    waiting.join(5.0)
    assert [str(error) for error in seen] == ["boom"]
    with pytest.raises(ValueError, match="boom"):
        ending.wait()
