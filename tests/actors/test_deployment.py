"""What the manager makes of deployments, before anybody is asked anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors.deployment import Deployment, take_over
from actors.members import Member
from engine.config import AccountConfig, RunConfig, StrategyConfig

ACCOUNT = AccountConfig.model_validate({"id": "a", "balances": {"USDT": "1000"}})
A_RUN = RunConfig.model_construct(name="run")


def config_of(fast_period: int, name: str = "one", timeframe: str = "1m") -> StrategyConfig:
    return StrategyConfig.model_validate(
        {
            "id": name,
            "type": "EMA_CROSS",
            "symbol": "BTC/USDT",
            "timeframe": timeframe,
            "parameters": {"fast_period": fast_period},
        }
    )


def deployed(config: StrategyConfig, **changes: Any) -> Deployment:
    settings = {"plugin_file": "file", "desired": "running", "generation": 1, **changes}
    return Deployment(config=config, account=ACCOUNT, **settings)


@pytest.fixture
def member() -> Member:
    member = Member(config_of(5), "file", "pooled", account=ACCOUNT)
    member.wanted, member.generation = "running", 1
    return member


@pytest.fixture
def fleet(member: Member) -> Any:
    core = SimpleNamespace(facts=SimpleNamespace(streams=("paper:BTC/USDT:1m",)))
    return SimpleNamespace(members={"one": member}, core=core)


def test_a_strategy_pauses_although_its_parameters_have_yet_to_be_changed(
    member: Member, fleet: Any
) -> None:
    deployment = deployed(config_of(6), desired="paused")
    assert take_over([deployment], fleet, A_RUN) == ({}, [(member, {"fast_period": 6})])
    assert member.wanted == "paused"
    assert member.parameters == {"fast_period": 5}
    assert member.is_unsure


def test_what_is_known_is_not_changed(member: Member, fleet: Any) -> None:
    assert take_over([deployed(config_of(5))], fleet, A_RUN) == ({}, [])
    assert not member.is_unsure


def test_what_may_have_been_changed_is_changed_again(member: Member, fleet: Any) -> None:
    member.is_unsure = True
    deployment = deployed(config_of(5))
    assert take_over([deployment], fleet, A_RUN) == ({}, [(member, {"fast_period": 5})])


def test_what_is_stopped_or_begins_anew_is_not_changed_while_it_runs(
    member: Member, fleet: Any
) -> None:
    assert take_over([deployed(config_of(6), desired="stopped")], fleet, A_RUN) == ({}, [])
    assert (member.wanted, member.version) == ("stopped", 1)
    assert take_over([deployed(config_of(7))], fleet, A_RUN) == ({}, [])
    assert (member.wanted, member.version) == ("running", 2)
    assert take_over([deployed(config_of(8), generation=2)], fleet, A_RUN) == ({}, [])
    assert (member.parameters, member.version) == ({"fast_period": 8}, 3)
    assert not member.is_unsure


def test_one_that_cannot_be_taken_over_holds_up_none_of_the_others(
    member: Member, fleet: Any
) -> None:
    deployments = [deployed(config_of(5, "two", "5m")), deployed(config_of(6))]
    refused, changing = take_over(deployments, fleet, A_RUN)
    assert changing == [(member, {"fast_period": 6})]
    assert refused.keys() == {"two"}
    assert "no data for paper:BTC/USDT:5m" in refused["two"]
    assert fleet.members == {"one": member}
