"""The stream over a WebSocket, on a real server."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from api.server import Services
from api.server.stream import StreamLimits
from engine.access import Caller
from engine.events import Broadcaster, Event, EventLogUnavailableError, MemoryEventLog
from tests.api.server.streaming import Place, a_server
from tests.waiting import until

LIMITS = StreamLimits(
    heartbeat_s=0.05, hello_within_s=5.0, recheck_s=3600.0, gather_s=0.001, queue=50, topics=5,
    strategies=3, message_bytes=4096, connections_per_user=3,
)  # fmt: skip


@pytest.fixture
def place(services: Services, log: MemoryEventLog) -> Iterator[Place]:
    with a_server(services, log, LIMITS) as place:
        yield place


MakeKey = Callable[..., str]


@pytest.fixture
def admin(services: Services) -> Caller:
    key = services.users.ensure_admin()
    assert key is not None
    return services.users.authenticate_key(key)


@pytest.fixture
def key_of(services: Services, admin: Caller) -> MakeKey:
    """Return a maker of keys, each of a new user."""

    def make(name: str, role: str = "trader") -> str:
        user = services.users.create(name, role, admin)
        return services.users.keys.create(user.id, "test", admin)

    return make


def data_of(events: list[dict[str, Any]]) -> list[Any]:
    return [event["data"]["n"] for event in events]


def test_events_come_as_they_were_published(place: Place, key_of: MakeKey) -> None:
    with place.talk(key_of("ann")) as talk:
        welcome = talk.hear()
        assert welcome["type"] == "welcome"
        assert (welcome["role"], welcome["heartbeatS"]) == ("trader", 0.05)
        assert welcome["id"] == place.log.newest()
        told = talk.ask("subscribe", topics=["fills", "candles:paper:BTC/USDT:1m"])
        assert told == {
            "type": "subscribed", "topics": ["candles:paper:BTC/USDT:1m", "fills"],
            "strategies": None, "id": welcome["id"],
        }  # fmt: skip
        place.log.publish("fills", {"price": "1.5"}, strategy_id="one")
        event = {
            "id": place.log.newest(), "topic": "fills", "strategy": "one",
            "at": "2023-11-14T22:13:20.001Z", "data": {"price": "1.5"},
        }  # fmt: skip
        assert talk.hear() == {"type": "events", "events": [event]}
        place.log.publish("orders", {})
        place.log.publish("candles:paper:BTC/USDT:5m", {})
        place.log.publish("candles:paper:BTC/USDT:1m", {"close": 1.0})
        assert talk.events(1)[0]["strategy"] is None


def test_nothing_after_the_welcome_need_be_missed(place: Place, key_of: MakeKey) -> None:
    with place.talk(key_of("ann")) as talk:
        welcome = talk.hear()
        place.log.publish("fills", {"n": 1})
        told = talk.ask("subscribe", topics=["fills"], after=welcome["id"])
        assert told["type"] == "subscribed"
        assert data_of(talk.events(1)) == [1]


def test_topics_are_added_and_taken_away_without_a_gap(place: Place, key_of: MakeKey) -> None:
    with place.welcomed(key_of("ann"), "fills") as talk:
        for n in range(30):
            place.log.publish("fills", {"n": n})
        talk.say("subscribe", topics=["orders"])
        talk.say("unsubscribe", topics=["fills", "logs"])
        heard: list[dict[str, Any]] = []
        while sum(each["type"] == "subscribed" for each in heard) < 2:
            heard.append(talk.hear())
        place.log.publish("fills", {"n": -1})
        place.log.publish("orders", {"n": 30})
        events = [each for message in heard for each in message.get("events", ())]
        events += talk.events(1)
        # How many fills were sent before it followed none any more is not said, but their order.
        assert data_of(events) == [*range(len(events) - 1), 30]
        told = [each["topics"] for each in heard if each["type"] == "subscribed"]
        assert told == [["fills", "orders"], ["orders"]]


def test_a_client_goes_on_after_an_id_with_no_gap_and_nothing_twice(
    place: Place, key_of: MakeKey
) -> None:
    key = key_of("ann")
    with place.welcomed(key, "*") as talk:
        for n in range(100):
            place.log.publish("fills" if n % 2 else "metrics", {"n": n}, strategy_id=f"s{n}")
        first = talk.events(100)[:37]
    until(lambda: not len(place.hub))
    for n in range(100, 700):
        place.log.publish("fills", {"n": n})
    with place.welcomed(key, "*", after=first[-1]["id"]) as talk:
        for n in range(700, 720):
            place.log.publish("orders", {"n": n})
        rest = talk.events(720 - 37)
    assert data_of(first + rest) == list(range(720))


def test_only_ones_own_is_seen_and_what_is_nobodys(
    place: Place, key_of: MakeKey, services: Services
) -> None:
    ann, bob, root = key_of("ann"), key_of("bob"), key_of("root", "admin")
    owner = services.users.authenticate_key(bob).user_id or ""
    with (
        place.welcomed(ann, "*") as anns,
        place.welcomed(bob, "*") as bobs,
        place.welcomed(root, "*") as roots,
    ):
        start = place.log.newest()
        place.log.publish("fills", {"n": 1}, strategy_id="one", owner_id=owner)
        place.log.publish("alerts", {"n": 2})
        assert data_of(anns.events(1)) == [2]
        assert data_of(bobs.events(2)) == data_of(roots.events(2)) == [1, 2]
    with place.welcomed(ann, "fills", "alerts", after=start, strategies=["one"]) as talk:
        assert data_of(talk.events(1)) == [2]


def test_strategies_are_chosen(place: Place, key_of: MakeKey) -> None:
    with place.welcomed(key_of("ann"), "fills", strategies=["a"]) as talk:
        assert talk.ask("subscribe", topics=["orders"])["strategies"] == ["a"]
        for n, strategy in enumerate(["b", "a", "", "b"]):
            place.log.publish("orders", {"n": n}, strategy_id=strategy)
        assert data_of(talk.events(2)) == [1, 2]
        assert talk.ask("subscribe", topics=[], strategies=None)["strategies"] is None
        place.log.publish("fills", {"n": 4}, strategy_id="b")
        assert data_of(talk.events(1)) == [4]


def test_heartbeats_say_where_one_is(place: Place, key_of: MakeKey) -> None:
    with place.welcomed(key_of("ann"), "fills") as talk:
        place.log.publish("orders", {})
        newest = place.log.newest()
        until(lambda: talk.hear(heartbeats=True) == {"type": "heartbeat", "id": newest})
        assert talk.ask("ping") == {"type": "pong"}


# ---------------------------------------------------------------------- signing in


def test_a_browser_signs_in_with_its_first_message(place: Place, services: Services) -> None:
    services.users.ensure_admin()
    root = services.users.page(Caller(None, "admin")).items[0]
    token = services.users.issue_token(Caller(root.id, "admin"))
    with place.talk() as talk:
        assert talk.ask("hello", token=token)["user"] == root.id
        assert talk.ask("hello", token=token)["type"] == "welcome"  # a fresh one, later
        talk.say("hello", token="chorus_nobody")  # noqa: S106 - nobody's
        assert talk.end()[0] == 4401
    with place.talk(
        subprotocols=["chorus.v1", f"chorus.token.{token}"],  # type: ignore[list-item]  # a NewType
        origin=f"http://127.0.0.1:{place.port}",
    ) as talk:
        assert talk.connection.subprotocol == "chorus.v1"
        assert talk.hear()["user"] == root.id


@pytest.mark.parametrize(
    "first",
    [
        {"type": "hello", "token": "chorus_x"},
        {"type": "hello", "token": ""},
        {"type": "subscribe", "topics": ["*"]},
        {"type": "hello"},
        [],
    ],
)
def test_nobody_gets_in_without_saying_who_it_is(place: Place, first: Any) -> None:
    with place.talk() as talk:
        talk.connection.send(json.dumps(first))
        heard = talk.hear()
        assert (heard["type"], heard["status"]) == ("error", 401)
        assert talk.end() == (4401, "Sign in first")
    until(lambda: not len(place.hub))


def test_who_says_nothing_is_sent_away(services: Services, log: MemoryEventLog) -> None:
    limits = StreamLimits(hello_within_s=0.02)
    with a_server(services, log, limits) as place, place.talk() as talk:
        assert talk.end()[0] == 4401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-API-Key": "chorus_wrong"}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_the_handshake_is_refused_with_a_problem(
    place: Place, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught, place.talk(additional_headers=headers):
        pass
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"")["status"] == status


def test_a_page_of_an_allowed_origin_gets_in(
    services: Services, log: MemoryEventLog, key_of: MakeKey
) -> None:
    limits = StreamLimits(origins=frozenset({"https://desk.example"}))
    with (
        a_server(services, log, limits) as place,
        place.talk(key_of("ann"), origin="https://desk.example") as talk,
    ):
        assert talk.hear()["type"] == "welcome"


@pytest.mark.parametrize("change", ["revoke", "disable", "promote"])
def test_a_connection_ends_with_the_rights_it_began_with(
    services: Services, log: MemoryEventLog, key_of: MakeKey, admin: Caller, change: str
) -> None:
    key = key_of("ann")
    user = services.users.authenticate_key(key).user_id or ""
    limits = StreamLimits(recheck_s=0.02, heartbeat_s=0.02)
    with a_server(services, log, limits) as place, place.welcomed(key, "*") as talk:
        for _ in range(3):
            talk.hear(heartbeats=True)
        if change == "revoke":
            services.users.keys.revoke(key.split("_")[1], admin)
        elif change == "disable":
            services.users.enable(user, admin, is_enabled=False)
        else:
            services.users.set_role(user, "admin", admin)
        assert talk.end()[0] == 4401


# ---------------------------------------------------------------------- what is not understood


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ("{", "is not one of this protocol"),
        ("[]", "is not one of this protocol"),
        ("[" * 2000, "is not one of this protocol"),
        ('{"type": "fly"}', "fly"),
        ('{"type": "subscribe"}', "topics"),
        ('{"type": "subscribe", "topics": "fills"}', "topics"),
        ('{"type": "subscribe", "topics": ["fills"], "more": 1}', "more"),
        ('{"type": "subscribe", "topics": ["candles:"]}', "'candles:' is not known"),
        ('{"type": "subscribe", "topics": ["fills"], "strategies": ["%s"]}' % ("x" * 300), "200"),
        ('{"type": "subscribe", "topics": ["c","d","e","f","g","h"]}', "at most 5"),
        ('{"type": "subscribe", "topics": [], "strategies": ["a","b","c","d"]}', "at most 3"),
        (b'{"type": "ping"}', "must be text"),
    ],
)
def test_what_is_not_understood_changes_nothing(
    place: Place, key_of: MakeKey, said: str | bytes, detail: str
) -> None:
    with place.welcomed(key_of("ann"), "orders") as talk:
        talk.connection.send(said)
        heard = talk.hear()
        assert heard["type"] == "error"
        assert heard["status"] in {400, 422}
        assert detail in heard["detail"]
        place.log.publish("orders", {"n": 1})
        assert data_of(talk.events(1)) == [1]


def test_an_id_is_only_for_the_beginning(place: Place, key_of: MakeKey) -> None:
    with place.welcomed(key_of("ann"), "fills") as talk:
        start = place.log.newest()
        assert "only for the first" in talk.ask("subscribe", topics=["logs"], after=start)["detail"]
        talk.ask("unsubscribe", topics=["fills"])
        assert "is no id" in talk.ask("subscribe", topics=["logs"], after="x")["detail"]
        assert talk.ask("subscribe", topics=["logs"], after=start)["type"] == "subscribed"


def test_a_message_too_large_ends_it(place: Place, key_of: MakeKey) -> None:
    with place.welcomed(key_of("ann")) as talk:
        assert talk.ask("hello", token="x" * 5000)["status"] == 413
        assert talk.end()[0] == 1009
    with place.welcomed(key_of("bob")) as talk:
        talk.say("hello", token="x" * 100_000)
        assert talk.end()[0] == 1009


# ---------------------------------------------------------------------- the end


def test_an_id_that_is_not_kept_any_more_is_told(services: Services, key_of: MakeKey) -> None: ...


def test_a_user_has_so_many_connections(place: Place, key_of: MakeKey) -> None:
    ann = key_of("ann")
    with place.welcomed(ann), place.welcomed(ann), place.welcomed(ann):
        with place.talk(ann) as talk:
            assert talk.hear()["status"] == 429
            assert talk.end()[0] == 4429
        with place.welcomed(key_of("bob")):
            pass
    until(lambda: not len(place.hub))
    with place.welcomed(ann):
        pass


def test_nothing_is_left_of_clients_that_are_gone(place: Place, key_of: MakeKey) -> None:
    ann = key_of("ann")
    with place.welcomed(ann, "*") as polite, place.welcomed(ann, "*") as rude:
        assert len(place.services.broadcaster._subscribers) == 2
        rude.connection.socket.shutdown(socket.SHUT_RDWR)
        polite.connection.close()
    until(lambda: not len(place.hub))
    assert not place.services.broadcaster._subscribers
    assert not place.hub._of_user
    assert place.hub._connections == 0


def test_clients_are_told_that_the_server_stops(place: Place, key_of: MakeKey) -> None:
    with place.welcomed(key_of("ann"), "fills") as talk, place.welcomed(key_of("bob")) as other:
        place.log.publish("fills", {"n": 1})
        [event] = talk.events(1)
        place.stop()
        assert talk.end() == (1012, f"The server stops; go on after {event['id']}")
        assert other.end()[0] == 1012


def test_a_slow_client_loses_old_metrics_and_is_told_but_no_fill(
    place: Place, key_of: MakeKey
) -> None:
    large = "x" * 100_000
    with place.talk(key_of("ann"), max_queue=1) as talk, place.welcomed(key_of("bob"), "*") as bob:
        talk.hear()
        talk.ask("subscribe", topics=["*"])
        # It reads no more: soon the server cannot send, and what follows waits in its queue.
        for n in range(400):
            place.log.publish("metrics", {"n": n, "large": large}, strategy_id="one")
            if n % 40 == 0:
                place.log.publish("fills", {"n": n})
            bob.hear()  # who is not held up
        heard = [talk.hear()]
        while not (heard[-1]["type"] == "events" and heard[-1]["events"][-1]["data"]["n"] == 399):
            heard.append(talk.hear())
        events = [each for message in heard for each in message.get("events", ())]
        metrics = [each["data"]["n"] for each in events if each["topic"] == "metrics"]
        lost = sum(message["lost"]["metrics"] for message in heard if message["type"] == "lost")
        assert [e["data"]["n"] for e in events if e["topic"] == "fills"] == list(range(0, 400, 40))
        assert lost > 0
        assert len(metrics) + lost == 400
        assert metrics == sorted(metrics)


def test_a_client_much_too_slow_is_told_where_to_go_on(place: Place, key_of: MakeKey) -> None:
    large, ann = "x" * 100_000, key_of("ann")
    with place.talk(ann, max_queue=1) as talk, place.welcomed(key_of("bob"), "*") as bob:
        talk.hear()
        talk.ask("subscribe", topics=["fills"])
        for n in range(300):
            place.log.publish("fills", {"n": n, "large": large})
            bob.hear()  # so it was offered to both before ann reads the first
        heard = [talk.hear()]
        while heard[-1]["type"] != "error":
            heard.append(talk.hear())
        assert heard[-1]["status"] == 408
        assert talk.end()[0] == 4408
    first = [each for message in heard for each in message.get("events", ())]
    with place.welcomed(ann, "fills", after=heard[-1]["id"]) as talk:
        rest = talk.events(300 - len(first))
    assert data_of(first + rest) == list(range(300))


def test_a_client_that_takes_nothing_is_given_up(
    services: Services, log: MemoryEventLog, key_of: MakeKey
) -> None:
    limits = StreamLimits(send_within_s=0.1, queue=10)
    with a_server(services, log, limits) as place, place.talk(key_of("ann"), max_queue=1) as talk:
        talk.hear()
        talk.ask("subscribe", topics=["metrics"])

        def is_given_up() -> bool:
            # As many as it takes to fill what lies between the two.
            place.log.publish("metrics", {"large": "x" * 100_000})
            return not len(place.hub)

        until(is_given_up)
        talk.connection.socket.shutdown(socket.SHUT_RDWR)


class AwayLog(MemoryEventLog):
    """Can be out of reach."""

    is_away = False

    def read(self, after: str | None, limit: int) -> list[Event]:
        self._check()
        return super().read(after, limit)

    def newest(self) -> str:
        self._check()
        return super().newest()

    def _check(self) -> None:
        if self.is_away:
            raise EventLogUnavailableError("event log: away")


def test_a_log_that_is_away_is_waited_for_and_then_told(
    services: Services, key_of: MakeKey
) -> None:
    log, ann = AwayLog(now_ms=lambda: 1), key_of("ann")
    with (
        closing(Broadcaster(log)) as broadcaster,
        a_server(
            msgspec.structs.replace(services, broadcaster=broadcaster),
            log,
            StreamLimits(away_s=0.05),
        ) as place,
        place.welcomed(ann, "fills") as follower,
        place.welcomed(ann) as late,
    ):
        start = MemoryEventLog.newest(log)
        log.is_away = True
        assert late.ask("subscribe", topics=["fills"], after=start)["type"] == "subscribed"
        assert late.hear()["status"] == 503
        assert late.end()[0] == 1013
        with place.talk(ann) as talk:
            assert talk.hear()["status"] == 503
            assert talk.end()[0] == 1013
        log.publish("fills", {"n": 1})
        log.is_away = False
        assert data_of(follower.events(1)) == [1]
