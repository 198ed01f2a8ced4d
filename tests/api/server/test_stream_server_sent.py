"""The stream as server-sent events, and the page of events, on a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from api.server import Services
from api.server.stream import StreamLimits
from engine.access import Caller
from engine.events import MemoryEventLog
from tests.api.server.streaming import WITHIN_S, Place, a_server
from tests.waiting import until

LIMITS = StreamLimits(
    heartbeat_s=0.05, recheck_s=3600.0, gather_s=0.001, queue=50, connections_per_user=2
)


@pytest.fixture
def place(services: Services, log: MemoryEventLog) -> Iterator[Place]:
    with a_server(services, log, LIMITS) as place:
        yield place


@pytest.fixture
def admin(services: Services) -> Caller:
    key = services.users.ensure_admin()
    assert key is not None
    return services.users.authenticate_key(key)


@pytest.fixture
def key(services: Services, admin: Caller) -> str:
    user = services.users.create("ann", "trader", admin)
    return services.users.keys.create(user.id, "test", admin)


class Heard:
    """What a response says, event by event, as browsers read it."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.iter_lines()
        self.last_id = ""

    def next(self) -> tuple[str, Any]:
        """Return kind and data of the next event; empty: the response has ended."""
        kind, data = "message", ""
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = value
            elif not line and data:
                return kind, json.loads(data)
        return "", None

    def numbers(self, count: int) -> list[int]:
        return [self.next()[1]["data"]["n"] for _ in range(count)]

    def until_heartbeat(self) -> str:
        """Return the id one may go on from, which the first heartbeat tells."""
        for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
                break
        return self.last_id


@contextmanager
def follow(place: Place, key: str, query: str = "", **headers: str) -> Iterator[Heard]:
    with httpx2.stream(
        "GET",
        f"http://127.0.0.1:{place.port}/api/v1/events{query}",
        headers={"X-API-Key": key, **headers},
        timeout=WITHIN_S,
        trust_env=False,
    ) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Heard(response)


def get(place: Place, path: str, key: str | None) -> httpx2.Response:
    headers = {} if key is None else {"X-API-Key": key}
    address = f"http://127.0.0.1:{place.port}/api/v1{path}"
    return httpx2.get(address, headers=headers, timeout=WITHIN_S, trust_env=False)


def test_events_come_as_they_were_published(place: Place, key: str) -> None:
    with follow(place, key, "?topics=fills,orders&topics=candles:paper:BTC/USDT:1m") as heard:
        assert heard.until_heartbeat() == place.log.newest()
        place.log.publish("logs", {})
        place.log.publish("fills", {"price": "1"}, strategy_id="one")
        assert heard.next() == (
            "message",
            {
                "id": place.log.newest(), "topic": "fills", "strategy": "one",
                "at": "2023-11-14T22:13:20.002Z", "data": {"price": "1"},
            },
        )  # fmt: skip
        assert heard.last_id == place.log.newest()
        place.log.publish("candles:paper:BTC/USDT:1m", {"close": 1.0})
        assert heard.next()[1]["data"] == {"close": 1.0}


def test_a_client_goes_on_where_it_was(place: Place, key: str) -> None:
    with follow(place, key) as heard:
        heard.until_heartbeat()
        for n in range(5):
            place.log.publish("fills", {"n": n})
        assert heard.numbers(3) == [0, 1, 2]
        last = heard.last_id
    for n in range(5, 400):
        place.log.publish("fills", {"n": n})
    with follow(place, key, "?after=nonsense", **{"Last-Event-ID": last}) as heard:
        assert heard.numbers(397) == list(range(3, 400))
    with follow(place, key, f"?after={last}") as heard:
        assert heard.numbers(1) == [3]


def test_only_ones_own_is_seen(place: Place, key: str) -> None:
    with follow(place, key, "?strategies=one") as heard:
        heard.until_heartbeat()
        place.log.publish("fills", {"n": 1}, strategy_id="one", owner_id="bob")
        place.log.publish("fills", {"n": 2}, strategy_id="two")
        place.log.publish("fills", {"n": 3}, strategy_id="one")
        assert heard.numbers(1) == [3]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?topics=nonsense", 422),
        ("?after=nonsense", 422),
        ("?after=000000000000001-0000000000", 410),
    ],
)
def test_what_cannot_begin_is_refused_as_a_problem(
    place: Place, key: str, query: str, status: int
) -> None:
    for path in ("/events", "/events/recent"):
        answer = get(place, path + query, key)
        assert answer.status_code == answer.json()["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert get(place, path, None).status_code == 401
    assert not len(place.hub)


def test_a_user_has_so_many_streams(place: Place, key: str) -> None:
    with follow(place, key), follow(place, key):
        assert get(place, "/events", key).status_code == 429
    until(lambda: not len(place.hub))
    assert not place.services.broadcaster._subscribers
    with follow(place, key):
        pass


def test_a_stream_ends_when_its_key_does(
    services: Services, log: MemoryEventLog, key: str, admin: Caller
) -> None:
    limits = StreamLimits(recheck_s=0.02, heartbeat_s=0.02)
    with a_server(services, log, limits) as place, follow(place, key) as heard:
        heard.until_heartbeat()
        services.users.keys.revoke(key.split("_")[1], admin)
        kind, problem = heard.next()
        assert (kind, problem["status"]) == ("end", 401)
        assert heard.next() == ("", None)


def test_a_stream_ends_when_the_server_stops(place: Place, key: str) -> None:
    with follow(place, key) as heard:
        heard.until_heartbeat()
        stopping = threading.Thread(target=place.stop)
        stopping.start()
        kind, problem = heard.next()
        assert (kind, problem["status"]) == ("end", 503)
        assert heard.next() == ("", None)
        stopping.join()


def test_a_stream_ends_by_itself_and_can_be_gone_on_with(
    services: Services, log: MemoryEventLog, key: str
) -> None:
    with a_server(services, log, StreamLimits(longest_s=0.02)) as place:
        with follow(place, key) as heard:
            assert heard.next() == ("", None)
        place.log.publish("fills", {"n": 1})
        with follow(place, key, f"?after={heard.last_id}") as heard:
            assert heard.numbers(1) == [1]


def test_a_page_of_events_says_where_to_go_on(place: Place, key: str) -> None:
    now = get(place, "/events/recent", key).json()
    assert now == {"items": [], "next": place.log.newest()}
    for n in range(5):
        place.log.publish("fills", {"n": n})
        place.log.publish("logs", {}, owner_id="bob")
    found: list[int] = []
    after = now["next"]
    for size in (3, 2, 0):
        page = get(place, f"/events/recent?topics=fills&limit=3&after={after}", key).json()
        found += [item["data"]["n"] for item in page["items"]]
        assert len(page["items"]) == size
        after = page["next"]
    assert found == [0, 1, 2, 3, 4]
    assert after == place.log.newest()
