"""What older clients ask for is done with strategies, or refused with what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from httpx2 import Response

from api.server import Services
from api.server.older_clients import SETTING
from engine.access import CHORUS
from engine.catalog.definitions import Draft
from tests.api.server.conftest import Ask

TYPES = dict.fromkeys(("arbitrage", "pureMarketMaking", "volume"), "spread")
NAME = {"userId": "123", "clientId": "456"}
ARBITRAGE = {
    **NAME,
    "pair": "BTC/USDT",
    "amountToTrade": 0.5,
    "minProfitability": 0.01,
    "exchangeAName": "okx",
    "exchangeBName": "bigone",
    "checkIntervalSeconds": 10,
    "fastPeriod": 7,
}
MAKING = {**NAME, "pair": "BTC/USDT", "exchangeName": "paper", "orderAmount": 2, "bidSpread": 0.1}
VOLUME = {**NAME, "symbol": "BTC/USDT", "tradeAmount": 1}
INSTANCES = "/admin/strategy/instances"


@pytest.fixture
def mapped(services: Services) -> str:
    """Let a definition stand for the older types; returns its id."""
    draft = Draft(key="spread", strategy_type="EMA_CROSS", defaults={"timeframe": "15m"})
    made = services.definitions.create(draft, CHORUS)
    services.settings.put(SETTING, TYPES, CHORUS)
    return made.id


def problem(answer: Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def done(answer: Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["deprecation"].startswith("@")
    assert '</api/v1/strategies>; rel="successor-version"' in answer.headers["link"]
    return answer.json()


@pytest.mark.usefixtures("mapped")
def test_an_arbitrage_instance_is_a_strategy_of_the_definition_that_stands_for_it(ask: Ask) -> None:
    ann = ask("ann")
    started = done(ann.post("/strategy/execute-arbitrage", json=ARBITRAGE))
    assert started["strategyKey"] == "123-456-arbitrage"
    assert (started["definitionKey"], started["status"]) == ("spread", "running")
    assert started["ignored"] == [
        "checkIntervalSeconds",
        "exchangeAName",
        "exchangeBName",
        "minProfitability",
    ]
    strategy = ann.get(f"/strategies/{started['strategyId']}").json()
    assert strategy["accountId"] == "ann"
    config = strategy["config"]
    assert (config["symbol"], config["timeframe"]) == ("BTC/USDT", "15m")
    assert config["parameters"] == {"fast_period": 7}
    assert config["sizing"] == {"mode": "fixed_quantity", "value": "0.5"}
    query = "userId=123&clientId=456"
    stopped = done(ann.get(f"/strategy/stop-arbitrage?{query}"))
    assert (stopped["strategyId"], stopped["status"]) == (started["strategyId"], "stopped")
    assert ann.get(f"/strategies/{started['strategyId']}").json()["desired"] == "stopped"


STARTS = [
    ("/strategy/execute-arbitrage", ARBITRAGE, "123-456-arbitrage"),
    ("/strategy/execute-pure-market-making", MAKING, "123-456-pureMarketMaking"),
    ("/strategy/execute-volume-strategy", VOLUME, "123-456-volume"),
    (f"{INSTANCES}/start", {"strategyType": "arbitrage", **ARBITRAGE}, "123-456-arbitrage"),
    (
        f"{INSTANCES}/start",
        {"strategyType": "pureMarketMaking", **MAKING},
        "123-456-pureMarketMaking",
    ),
    (f"{INSTANCES}/start", {"strategyType": "volume", **VOLUME}, "123-456-volume"),
    (
        "/admin/strategy/start",
        {"strategyType": "arbitrage", "arbitrageParams": ARBITRAGE, "maxOpenOrders": 5},
        "123-456-arbitrage",
    ),
    (
        "/admin/strategy/start",
        {"strategyType": "marketMaking", "marketMakingParams": MAKING},
        "123-456-pureMarketMaking",
    ),
    (
        "/admin/strategy/start",
        {"strategyType": "volume", "volumeParams": VOLUME},
        "123-456-volume",
    ),
]
STOPS = {
    "123-456-arbitrage": [
        ("GET", "/strategy/stop-arbitrage?userId=123&clientId=456", None),
        ("POST", f"{INSTANCES}/stop", {**NAME, "strategyType": "arbitrage"}),
        ("POST", "/admin/strategy/stop", {**NAME, "strategyType": "arbitrage"}),
    ],
    "123-456-pureMarketMaking": [
        ("GET", "/strategy/stop-marketmaking?userId=123&clientId=456", None),
        ("POST", f"{INSTANCES}/stop", {**NAME, "strategyType": "pureMarketMaking"}),
        ("POST", "/admin/strategy/stop", {**NAME, "strategyType": "marketMaking"}),
    ],
    "123-456-volume": [
        ("POST", "/strategy/stop-volume-strategy", NAME),
        ("POST", f"{INSTANCES}/stop", {**NAME, "strategyType": "volume"}),
        ("POST", "/admin/strategy/stop", {**NAME, "strategyType": "volume"}),
    ],
}


@pytest.mark.parametrize(("path", "body", "key"), STARTS)
def test_what_is_started_is_listed_stopped_and_started_again(
    ask: Ask, mapped: str, path: str, body: dict[str, Any], key: str
) -> None:
    ann = ask("ann")
    started = done(ann.post(path, json=body))
    assert (started["strategyKey"], started["strategyDefinitionId"]) == (key, mapped)
    running = done(ann.get(f"{INSTANCES}/running"))
    assert [(each["strategyKey"], each["clientId"]) for each in running] == [(key, "456")]
    for method, stop, named in STOPS[key]:
        assert done(ann.request(method, stop, json=named))["strategyId"] == started["strategyId"]
        assert done(ann.get("/strategy/running")) == []
        assert [i["status"] for i in done(ann.get("/strategy/all-strategies"))] == ["stopped"]
        assert done(ann.post(path, json=body)) == started
    assert len(done(ann.get(f"{INSTANCES}/all"))) == 1


@pytest.mark.parametrize(("path", "body", "key"), STARTS)
def test_a_type_that_no_definition_stands_for_is_refused_with_what_to_define(
    ask: Ask, services: Services, path: str, body: dict[str, Any], key: str
) -> None:
    ann, kind = ask("ann"), key.removeprefix("123-456-")
    found = problem(ann.post(path, json=body), 422)
    assert found["errors"][0]["path"] == "strategyType"
    for word in (SETTING, repr(kind), f'{{"{kind}": "<its key>"}}', "none does"):
        assert word in found["detail"]
    for value, word in [({kind: "gone"}, "it names 'gone', which is none"), ("x", "none does")]:
        services.settings.put(SETTING, value, CHORUS)
        assert word in problem(ann.post(path, json=body), 422)["detail"]


def test_an_instance_is_started_from_a_definition_with_its_configuration(
    ask: Ask, mapped: str
) -> None:
    ann = ask("ann")
    body = {**NAME, "strategyDefinitionId": mapped, "config": {"symbol": "BTC/USDT"}}
    started = done(ann.post(f"{INSTANCES}/start", json=body))
    assert started["strategyKey"] == f"123-456-{mapped}"
    body["config"] = {"symbol": "BTC/USDT", "parameters": {"fast_period": 9}}
    again = done(ann.post(f"{INSTANCES}/start", json=body))
    assert again["strategyId"] == started["strategyId"]
    (shown,) = done(ann.get(f"{INSTANCES}/all"))
    assert shown["parameters"] == {"fast_period": 9}
    named = {**NAME, "strategyDefinitionId": mapped}
    assert done(ann.post(f"{INSTANCES}/stop", json=named))["status"] == "stopped"


def test_each_user_has_instances_of_its_own_and_sees_no_others(ask: Ask, mapped: str) -> None:
    ann, bob, eve = ask("ann"), ask("bob"), ask("eve", role="viewer")
    first = done(ann.post("/strategy/execute-volume-strategy", json=VOLUME))
    for other in (bob, eve, ask("admin")):
        problem(other.post("/strategy/stop-volume-strategy", json=NAME), 404)
    assert done(bob.get(f"{INSTANCES}/all")) == done(eve.get("/strategy/running")) == []
    second = done(bob.post("/strategy/execute-volume-strategy", json=VOLUME))
    assert second["strategyId"] != first["strategyId"]
    done(bob.post("/strategy/stop-volume-strategy", json=NAME))
    assert [i["status"] for i in done(ann.get(f"{INSTANCES}/all"))] == ["running"]
    assert len(done(ask("admin").get(f"{INSTANCES}/all"))) == 2


EVERY = [
    *(("POST", path, body) for path, body, _ in STARTS),
    *(stop for stops in STOPS.values() for stop in stops),
    *(("GET", f"{INSTANCES}/{which}", None) for which in ("running", "all")),
    *(("GET", f"/strategy/{which}", None) for which in ("running", "all-strategies")),
]


@pytest.mark.usefixtures("mapped")
@pytest.mark.parametrize(("method", "path", "body"), EVERY)
def test_nobody_gets_in_without_a_key_and_a_viewer_changes_nothing(
    ask: Ask, method: str, path: str, body: Any
) -> None:
    problem(ask().request(method, path, json=body), 401)
    answer = ask("eve", role="viewer").request(method, path, json=body)
    assert answer.status_code in {403, 404} or (method == "GET" and answer.json() == [])


@pytest.mark.usefixtures("mapped")
def test_the_account_is_the_only_one_or_the_one_that_is_named(ask: Ask) -> None:
    ann, start = ask("ann"), "/strategy/execute-volume-strategy"
    done(ann.post(start, json={**VOLUME, "accountLabel": "default"}))
    second = ann.post("/accounts", json={"name": "second", "balances": {"USDT": "5"}}).json()["id"]
    for label in ("", "third"):
        wrong = {**VOLUME, "clientId": "2", "accountLabel": label}
        found = problem(ann.post(start, json=wrong), 422)
        assert found["errors"][0]["path"] == "accountLabel"
        assert "paper (paper), second (paper)" in found["detail"]
    started = done(ann.post(start, json={**VOLUME, "clientId": "2", "accountLabel": "second"}))
    assert ann.get(f"/strategies/{started['strategyId']}").json()["accountId"] == second


@pytest.mark.usefixtures("mapped")
def test_the_account_is_of_the_exchange_or_a_paper_account_by_name(ask: Ask) -> None:
    ann, start = ask("ann"), "/strategy/execute-volume-strategy"

    def open_account(name: str, venue: str) -> str:
        body = {"name": name, "venue": venue, "balances": {"USDT": "5"}}
        return str(ann.post("/accounts", json=body).json()["id"])

    def refused(**said: str) -> tuple[str, str]:
        (error,) = problem(ann.post(start, json={**VOLUME, **said}), 422)["errors"]
        return error["path"], error["message"]

    live = open_account("live", "okx")
    paper = done(ann.post(start, json={**VOLUME, "accountLabel": "default"}))
    assert ann.get(f"/strategies/{paper['strategyId']}").json()["accountId"] == "ann"
    for label in ("live", live):
        path, message = refused(clientId="2", accountLabel=label)
        assert path == "accountLabel"
        assert "of venue 'paper' as exchangeName says" in message
    assert "live (okx)" in refused(clientId="2", exchangeName="binance")[1]
    # What is left to refuse it: nothing is traded on an exchange, and the feed has nothing of it.
    assert refused(clientId="2", exchangeName="OKX")[0] == "account"
    assert refused(clientId="2", exchangeName="okx", accountLabel="paper")[0] == "streams"
    open_account("other", "okx")
    assert refused(clientId="2", exchangeName="okx")[0] == "accountLabel"


@pytest.mark.usefixtures("mapped")
@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/strategy/execute-arbitrage", {**ARBITRAGE, "pair": None}, "symbol"),
        ("/strategy/execute-arbitrage", {**ARBITRAGE, "amountToTrade": 0}, "amountToTrade"),
        ("/strategy/execute-arbitrage", {**ARBITRAGE, "fastPeriod": "x"}, "fast_period"),
        (
            "/strategy/execute-volume-strategy",
            {**VOLUME, "exchangeName": "okx", "accountLabel": "paper"},
            "okx:BTC/USDT",
        ),
        ("/strategy/execute-volume-strategy", {**VOLUME, "clientId": "a b"}, "clientId"),
        (f"{INSTANCES}/start", VOLUME, "strategyDefinitionId or strategyType"),
        ("/admin/strategy/start", {"strategyType": "volume"}, "volumeParams"),
    ],
)
def test_what_could_not_run_is_refused_with_the_field(
    ask: Ask, path: str, body: dict[str, Any], word: str
) -> None:
    assert word in problem(ask("ann").post(path, json=body), 422)["detail"]


@pytest.mark.usefixtures("mapped")
def test_lists_go_on_by_a_header(ask: Ask) -> None:
    ann = ask("ann")
    for client in ("1", "2", "3"):
        done(ann.post("/strategy/execute-volume-strategy", json={**VOLUME, "clientId": client}))
    first = ann.get(f"{INSTANCES}/all?limit=2")
    rest = ann.get(str(first.links["next"]["url"]).removeprefix("/api/v1"))
    assert [i["clientId"] for i in done(first) + done(rest)] == ["1", "2", "3"]
    assert "next" not in rest.links


def test_all_of_it_is_marked_as_deprecated_and_its_successor_is_there(ask: Ask) -> None:
    client = ask("ann")
    paths = client.get("/openapi.json").json()["paths"]
    older = [
        operation
        for operations in paths.values()
        for operation in operations.values()
        if operation["tags"] == ["older clients"]
    ]
    assert len(older) == 14
    for operation in older:
        assert operation["deprecated"]
        assert "Deprecation" in operation["responses"]["200"]["headers"]
    assert "/api/v1/strategies" in paths
