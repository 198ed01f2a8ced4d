"""What the manager makes of a deployment, whatever a host says to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors.deployment import Deployment, take_over
from actors.members import Member
from engine.config import AccountConfig, RunConfig, StrategyConfig
from engine.errors import ConfigError

ACCOUNT = AccountConfig.model_validate({"id": "a", "balances": {"USDT": "1000"}})
A_RUN = RunConfig.model_construct(name="run")


def config_of(fast_period: int) -> StrategyConfig:
    return StrategyConfig.model_validate(
        {
            "id": "one",
            "type": "EMA_CROSS",
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "parameters": {"fast_period": fast_period},
        }
    )


def test_a_strategy_pauses_although_its_parameters_cannot_be_changed() -> None:
    member = Member(config_of(5), "file", "pooled", account=ACCOUNT)
    as_it_was = {"wanted": "running", "generation": 1}
    for name, value in as_it_was.items():
        setattr(member, name, value)

    def refuse(host: object, request: object) -> None:
        raise ConfigError("only with a restart")

    fleet: Any = SimpleNamespace(members={"one": member}, host_of=lambda name: "host", ask=refuse)
    deployment = Deployment(
        config=config_of(6), account=ACCOUNT, plugin_file="file", desired="paused", generation=1
    )
    with pytest.raises(ConfigError, match="only with a restart"):
        take_over(deployment, fleet, A_RUN)
    assert member.wanted == "paused"
    assert member.parameters == {"fast_period": 5}
