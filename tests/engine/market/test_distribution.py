"""The distributor: registration order, O(1) routes, counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.market.distribution import DataDistributor, select_streams
from engine.types import Candle, MarketSlice
from tests.examples import examples

STREAMS = ["p:A/B:1m", "p:A/B:5m", "p:C/B:1m"]


def a_slice(*streams: str) -> MarketSlice:
    return MarketSlice(
        0, 60_000, tuple(Candle(s, 0, 0, 60_000, 1.0, 1.0, 1.0, 1.0, 1.0) for s in streams)
    )


def test_candles_go_to_their_subscribers_in_registration_order() -> None:
    distributor: DataDistributor[str] = DataDistributor()
    distributor.subscribe("zeta", [STREAMS[0], STREAMS[1]])
    distributor.subscribe("alpha", [STREAMS[0]])
    assert distributor.routes(STREAMS[0]) == ("zeta", "alpha")
    assert distributor.routes(STREAMS[1]) == ("zeta",)
    assert distributor.routes(STREAMS[2]) == ()
    assert distributor.subscribers == ("zeta", "alpha")
    assert distributor.wanted == (STREAMS[0], STREAMS[1])
    assert distributor.streams_of("alpha") == (STREAMS[0],)


def test_routing_a_slice_skips_what_nobody_wants_and_counts_the_rest() -> None:
    distributor: DataDistributor[str] = DataDistributor()
    distributor.subscribe("a", [STREAMS[0]])
    routed = list(distributor.route(a_slice(*STREAMS)))
    assert [(candle.stream, who) for candle, who in routed] == [(STREAMS[0], ("a",))]
    distributor.subscribe("b", [STREAMS[0], STREAMS[2]])
    list(distributor.route(a_slice(*STREAMS)))
    assert distributor.delivered("a") == 2
    assert distributor.delivered("b") == 2
    assert distributor.candles_of(STREAMS[0]) == 2
    assert distributor.candles_of(STREAMS[1]) == 0


def test_who_unsubscribes_hears_nothing_more() -> None:
    distributor: DataDistributor[str] = DataDistributor()
    distributor.subscribe("a", STREAMS)
    distributor.subscribe("b", [STREAMS[0]])
    assert distributor.unsubscribe("a")
    assert not distributor.unsubscribe("a")
    assert distributor.routes(STREAMS[0]) == ("b",)
    assert distributor.routes(STREAMS[1]) == ()
    assert distributor.wanted == (STREAMS[0],)
    with pytest.raises(ConfigError, match="'a' is not subscribed"):
        distributor.delivered("a")


def test_a_changed_subscription_keeps_its_place() -> None:
    distributor: DataDistributor[str] = DataDistributor()
    distributor.subscribe("a", [STREAMS[0]])
    distributor.subscribe("b", [STREAMS[0], STREAMS[1]])
    distributor.subscribe("a", [STREAMS[1]])
    assert distributor.routes(STREAMS[0]) == ("b",)
    assert distributor.routes(STREAMS[1]) == ("a", "b")


def test_a_subscription_to_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="'a' needs at least one stream"):
        DataDistributor[str]().subscribe("a", [])


def test_filters_select_by_symbol_and_timeframe() -> None:
    assert select_streams(STREAMS) == tuple(STREAMS)
    assert select_streams(STREAMS, symbols=["A/B"]) == (STREAMS[0], STREAMS[1])
    assert select_streams(STREAMS, timeframes=["1m"]) == (STREAMS[0], STREAMS[2])
    assert select_streams(STREAMS, symbols=["C/B"], timeframes=["5m"]) == ()


actions = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sets(st.sampled_from(STREAMS), min_size=1).map(sorted) | st.none(),
    ),
    max_size=30,
)


@examples(150)
@given(actions)
def test_routes_always_equal_a_plain_search(history: list[tuple[str, list[str] | None]]) -> None:
    distributor: DataDistributor[str] = DataDistributor()
    model: dict[str, list[str]] = {}
    received: dict[str, int] = {}
    for who, streams in history:
        if streams is None:
            assert distributor.unsubscribe(who) == (model.pop(who, None) is not None)
        else:
            distributor.subscribe(who, streams)
            model[who] = streams
            received[who] = 0
        for candle, subscribers in distributor.route(a_slice(*STREAMS)):
            expected = [name for name, wants in model.items() if candle.stream in wants]
            assert list(subscribers) == expected
            for name in subscribers:
                received[name] += 1
    assert distributor.subscribers == tuple(model)
    assert {name: distributor.delivered(name) for name in model} == {
        name: received[name] for name in model
    }
    for stream in STREAMS:
        assert (stream in distributor.wanted) == bool(distributor.routes(stream))
