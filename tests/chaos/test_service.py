"""Whatever of a service is killed: what it has acknowledged is there, and nothing is half there."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.chaos.saboteur import SEED
from tests.service_process import ServiceProcess
from tests.waiting import until

CONFIG = """
name: kills
market:
  synthetic:
    symbols: [{symbol: BTC/USDT}, {symbol: ETH/USDT}]
placement: {isolation: pooled, hosts: 1}
accounts:
  - {id: paper, balances: {USDT: 1000000}}
strategies:
  - id: first
    type: EMA_CROSS
    symbol: BTC/USDT
    timeframe: 1m
    account: paper
    capital: 1000
    parameters: {fast_period: 3, slow_period: 8}
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    config = tmp_path / "kills.yaml"
    config.write_text(CONFIG)
    with ServiceProcess(config, tmp_path / "data", "--speed", "600") as running:
        yield running


def body_of(number: int) -> dict[str, Any]:
    return {
        "id": f"s{number}",
        "definition": "builtin-ema_cross",
        "account": "paper",
        "config": {
            "symbol": "ETH/USDT",
            "timeframe": "1m",
            "capital": 1000 + number,
            "parameters": {"fast_period": 2 + number % 5, "slow_period": 20 + number},
        },
    }


class Customer:
    """Creates and changes strategies as fast as it is answered, and knows what was answered."""

    def __init__(self) -> None:
        self.number = 0
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []

    def work(self, service: ServiceProcess) -> None:
        """Work until nobody answers any more."""
        with service.client() as client:
            try:
                while True:
                    self._create(client)
                    self._change(client)
            except httpx2.HTTPError:
                return

    def _create(self, client: httpx2.Client) -> None:
        body = body_of(self.number)
        self.number += 1
        answer = client.post(
            "/strategies/start", json=body, headers={"Idempotency-Key": f"make-{body['id']}"}
        )
        self._keep(answer)

    def _change(self, client: httpx2.Client) -> None:
        name = f"s{self.number - 1}"
        changes = {"parameters": {"allow_short": True}}
        self._keep(client.put(f"/strategies/{name}/settings", json=changes))
        if self.number % 3 == 0:
            self._keep(client.put(f"/strategies/{name}/pause"))

    def _keep(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            shown = answer.json()
            self.acknowledged[shown["id"]] = shown
        else:
            self.refused.append(answer.text)


def all_of(client: httpx2.Client) -> dict[str, dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/strategies", params={"limit": 1000}).json()["items"]
    return {each["id"]: each for each in items}


def assert_nothing_lost(customer: Customer, found: dict[str, dict[str, Any]]) -> None:
    assert customer.refused == []
    for name, known in customer.acknowledged.items():
        there = found[name]
        # One more change may have been made that nobody could be told of.
        assert there["version"] - known["version"] in {0, 1}
        if there["version"] == known["version"]:
            for field in ("config", "desired", "definitionVersion", "updated"):
                assert there[field] == known[field]
    for name in found.keys() - customer.acknowledged.keys() - {"first"}:
        expected = body_of(int(name[1:]))
        assert name == f"s{customer.number - 1}"  # the one that was under way
        assert found[name]["config"]["parameters"] == expected["config"]["parameters"]


def await_taken_over(client: httpx2.Client) -> None:
    """Wait until the engine does with every strategy what is wanted of it."""

    def behind() -> dict[str, Any]:
        return {
            name: each["state"]
            for name, each in all_of(client).items()
            if each["state"]["status"]
            not in ({"paused"} if each["desired"] == "paused" else {"warming", "running"})
        }

    until(lambda: not behind(), behind, every_s=0.2)


@pytest.mark.parametrize("kind", ["api", "tree"])
def test_every_acknowledged_change_is_there_after_a_kill(
    service: ServiceProcess, kind: str
) -> None:
    chance, customer = random.Random(f"{SEED}{kind}"), Customer()
    for _ in range(2):
        worker = threading.Thread(target=customer.work, args=(service,))
        worker.start()
        before = customer.number
        while customer.number < before + 3:
            worker.join(0.05)
            assert worker.is_alive()
        worker.join(chance.uniform(0.0, 0.5))
        service.kill_alone() if kind == "api" else service.kill()
        worker.join()
        service.start()
        with service.client() as client:
            found = all_of(client)
        assert_nothing_lost(customer, found)
        customer.acknowledged = {name: found[name] for name in found if name != "first"}
    with service.client() as client:
        await_taken_over(client)
    assert len(customer.acknowledged) >= 6
