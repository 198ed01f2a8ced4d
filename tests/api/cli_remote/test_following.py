"""The event stream is followed through whatever a server or the way to it does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from api.cli.remote import following
from api.cli.remote.address import Address
from api.cli.remote.errors import (
    AwayError,
    MissedError,
    RefusedError,
    SignInError,
    UnknownAnswerError,
)
from api.cli.remote.following import Follower
from api.cli.remote.keyring import Key
from engine.errors import ChorusError

Say = Callable[..., None]
Part = Callable[[Say, ServerConnection], None]
"""What a server does in one connection after it was asked to subscribe."""


class Scene:
    """A server that does one part after the other, each in a connection of its own."""

    def __init__(self, parts: Sequence[Part | str]) -> None:
        self.parts = list(parts)
        self.wanted: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.pauses: list[float] = []
        self.address = Address.of("http://127.0.0.1:9")

    def play(self, connection: ServerConnection) -> None:
        part = self.parts.pop(0)
        if isinstance(part, str):  # said instead of a welcome
            connection.send(part)
            return

        def say(kind: str, **fields: Any) -> None:
            connection.send(json.dumps({"type": kind, **fields}))

        say("welcome", id="0", heartbeatS=15)
        self.wanted.append(json.loads(connection.recv(10)))
        part(say, connection)

    def follower(self, **options: Any) -> Follower:
        return Follower(
            self.address,
            Key("chorus_1_2", "a test"),
            ["fills"],
            notice=self.notices.append,
            pause=self.pauses.append,
            **options,
        )

    def events(self, count: int, **options: Any) -> list[str]:
        """Follow until there are so many events; returns their ids."""
        with self.follower(**options) as follower:
            found = (event["id"] for batch in follower.batches() for event in batch)
            return list(islice(found, count))


@contextmanager
def a_scene(*parts: Part | str) -> Iterator[Scene]:
    scene = Scene(parts)
    with serve(scene.play, "127.0.0.1", 0) as server:
        scene.address = Address.of(f"http://127.0.0.1:{server.socket.getsockname()[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield scene
        finally:
            server.shutdown()
            thread.join()


def tell(*ids: str, then: Part | None = None) -> Part:
    """Say that it is subscribed, then tell events one by one."""

    def part(say: Say, connection: ServerConnection) -> None:
        say("subscribed", topics=["fills"], strategies=None, id="0")
        for each in ids:
            say("events", events=[{"id": each, "data": {}}])
        if then is not None:
            then(say, connection)

    return part


def fails(status: int, **fields: Any) -> Part:
    def part(say: Say, connection: ServerConnection) -> None:
        say("error", title="No", status=status, detail="it says why", **fields)

    return part


def closes(code: int) -> Part:
    def part(say: Say, connection: ServerConnection) -> None:
        connection.close(code, "it says why")

    return part


def breaks(say: Say, connection: ServerConnection) -> None:
    connection.socket.close()


def stays(say: Say, connection: ServerConnection) -> None:
    for _ in connection:
        pass


@pytest.mark.parametrize(
    "trouble",
    [closes(1012), closes(1013), closes(4408), closes(1000), breaks, fails(503), fails(408)],
)
def test_it_goes_on_after_the_last_event_that_was_seen(trouble: Part) -> None:
    with a_scene(tell("1", "2", then=trouble), tell("3", then=stays)) as scene:
        assert scene.events(3) == ["1", "2", "3"]
        assert [wanted["after"] for wanted in scene.wanted] == ["0", "2"]
        assert [notice.split()[0] for notice in scene.notices] == ["connection", "connected"]


def test_nothing_between_welcome_and_subscription_is_missed() -> None:
    with a_scene(tell(then=closes(1012)), tell("1", then=stays)) as scene:
        scene.events(1)
        assert [wanted["after"] for wanted in scene.wanted] == ["0", "0"]
    with a_scene(tell("8", then=stays)) as scene:
        scene.events(1, after="7", strategies=["one"])
        assert scene.wanted == [
            {"type": "subscribe", "topics": ["fills"], "strategies": ["one"], "after": "7"}
        ]


def test_a_heartbeat_says_where_to_go_on() -> None:
    def beat(say: Say, connection: ServerConnection) -> None:
        say("heartbeat", id="5")
        connection.close(1012)

    with a_scene(tell("1", then=beat), tell("6", then=stays)) as scene:
        assert scene.events(2) == ["1", "6"]
        assert scene.wanted[1]["after"] == "5"


def test_silence_means_that_the_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_SHORTEST_S", 0.05)
    monkeypatch.setattr(following, "_HEARTBEATS", 0.0)
    with a_scene(tell("1", then=stays), tell("2", then=stays)) as scene:
        assert scene.events(2) == ["1", "2"]
        assert "silent for 0.05 s" in scene.notices[0]


def test_it_tries_again_less_and_less_often() -> None:
    away = [fails(503)] * 8
    with a_scene(tell("1", then=breaks), *away, tell("2", then=stays)) as scene:
        assert scene.events(2) == ["1", "2"]
        assert scene.pauses == [0.5, 1, 2, 4, 8, 10, 10, 10]


@pytest.mark.parametrize("trouble", [fails(410, id="70"), closes(4410)])
def test_events_that_are_gone_are_said_to_be_missing(trouble: Part) -> None:
    with a_scene(tell("1", then=closes(1012)), trouble, tell("71", then=stays)) as scene:
        assert scene.events(2) == ["1", "71"]
        assert any("some events are missing" in notice for notice in scene.notices)
        assert scene.wanted[2]["after"] in {"70", "0"}


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (fails(410, id="7"), MissedError),
        (fails(401), SignInError),
        (fails(422), RefusedError),
        (closes(4401), SignInError),
        (closes(4429), RefusedError),
        (closes(1013), AwayError),
        (breaks, AwayError),
        (fails(503), AwayError),
        ("no JSON", UnknownAnswerError),
    ],
)
def test_at_first_it_has_to_succeed(trouble: Part | str, kind: type[ChorusError]) -> None:
    with a_scene(trouble) as scene:
        with pytest.raises(kind), scene.follower(after="1"):
            pass
        assert scene.notices == []


@pytest.mark.parametrize("trouble", [fails(401), closes(4401), fails(403)])
def test_whoever_is_not_let_in_any_more_does_not_try_again(trouble: Part) -> None:
    with (
        a_scene(tell("1", then=trouble)) as scene,
        pytest.raises(RefusedError, match="it says why"),
    ):
        scene.events(2)


def test_what_is_left_out_is_said() -> None:
    def lose(say: Say, connection: ServerConnection) -> None:
        say("lost", lost={"metrics": 7})
        say("events", events=[{"id": "2", "data": {}}])

    with a_scene(tell("1", then=lose)) as scene:
        assert scene.events(2) == ["1", "2"]
        assert scene.notices == ["left out, since newer ones have come: 7 metrics"]


def test_ticks_come_when_nothing_else_does() -> None:
    with a_scene(tell("1", then=stays)) as scene, scene.follower() as follower:
        batches = follower.batches(tick_s=0.01)
        found = [next(batches) for _ in range(50)]
        assert sum(map(len, found)) == 1
        assert found[-1] == []
