"""What the manager is told of a strategy that is deployed, and what it makes of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from actors.fleet import Fleet
from actors.members import Member
from actors.requests import Obey
from engine.config import AccountConfig, RunConfig, StrategyConfig
from engine.errors import ConfigError, LifecycleError
from engine.instance import Update

__all__ = ["Deployment", "take_over"]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy, and what is wanted of it. Telling the same again changes nothing.

    Attributes:
        config: The strategy. Its parameters may change while it runs; anything else it has been
            started with holds until it is started afresh.
        account: Where it trades.
        plugin_file: File its type is loaded from whenever it is started afresh.
        desired: What is wanted of it.
        generation: Another one has it started afresh, whatever its state; its position carries
            over.
    """

    config: StrategyConfig
    account: AccountConfig
    plugin_file: str
    desired: Literal["running", "paused", "stopped"]
    generation: int


def take_over(deployment: Deployment, fleet: Fleet, run: RunConfig) -> None:
    """Note what is wanted of one strategy; supervision brings it about.

    Raises:
        ConfigError: It cannot run on this feed, or with its account.
        LifecycleError: Its parameters cannot be changed now.
        ServiceAwayError: Likewise, for a moment.
    """
    config = deployment.config
    member = fleet.members.get(config.id)
    if member is None:
        if deployment.desired == "stopped":
            return
        member = _newcomer(deployment, fleet, run)
    elif _begins_anew(deployment, member):
        if deployment.desired != "stopped":
            _require_served(config, fleet)
        member.begin_anew(config)
        member.plugin_file = deployment.plugin_file
    elif member.parameters != config.parameters and deployment.desired != "stopped":
        member.wanted = deployment.desired  # it pauses also if its parameters cannot be changed
        _change_parameters(member, config, fleet)
    member.generation = deployment.generation
    member.wanted = deployment.desired


def _begins_anew(deployment: Deployment, member: Member) -> bool:
    # Whatever it was stopped with is over: it begins with what is wanted now.
    was_stopped = member.wanted == "stopped" != deployment.desired
    return member.generation != deployment.generation or was_stopped


def _newcomer(deployment: Deployment, fleet: Fleet, run: RunConfig) -> Member:
    config = deployment.config
    _require_served(config, fleet)
    run.capital_of(config, deployment.account)
    isolation = run.isolation_of(config)
    member = Member(config, deployment.plugin_file, isolation, account=deployment.account)
    fleet.members = {**fleet.members, config.id: member}
    return member


def _change_parameters(member: Member, config: StrategyConfig, fleet: Fleet) -> None:
    host = fleet.host_of(config.id)
    if host is None:
        raise LifecycleError(
            f"strategy {config.id!r}: is {member.status.status}; its parameters are changed once "
            "it runs"
        )
    fleet.ask(host, Obey(config.id, Update(config.parameters)))
    # Those of its configuration stay: whoever builds it again lives through this change, too.
    member.parameters = dict(config.parameters)


def _require_served(config: StrategyConfig, fleet: Fleet) -> None:
    """Check that the feed has what a strategy listens to.

    Raises:
        ConfigError: It has not.
    """
    streams = fleet.core.facts.streams
    missing = [stream for stream in config.streams if stream not in streams]
    if missing:
        raise ConfigError(
            f"strategy {config.id!r}: no data for {', '.join(missing)}; "
            f"the feed has {', '.join(streams)}"
        )
