"""What the manager is told of a strategy that is deployed, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from actors.fleet import Fleet
from actors.members import Member
from engine.config import AccountConfig, RunConfig, StrategyConfig
from engine.errors import ChorusError, ConfigError

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


def take_over(
    deployments: Sequence[Deployment], fleet: Fleet, run: RunConfig
) -> tuple[dict[str, str], list[tuple[Member, dict[str, Any]]]]:
    """Note what is wanted of strategies; supervision brings it about.

    Nobody else may change them meanwhile, and nobody is asked anything.

    Returns:
        By id, why some could not be taken over, and those of which parameters have yet to be
        changed while they run, with all of their parameters.
    """
    refused: dict[str, str] = {}
    changing: list[tuple[Member, dict[str, Any]]] = []
    for deployment in deployments:
        try:
            member = _take_over(deployment, fleet, run)
        except ChorusError as error:
            refused[deployment.config.id] = str(error)
            continue
        if member is not None:
            changing.append((member, deployment.config.parameters))
    return refused, changing


def _take_over(deployment: Deployment, fleet: Fleet, run: RunConfig) -> Member | None:
    """Note what is wanted of one strategy; return it if its parameters have yet to be changed.

    Raises:
        ConfigError: It cannot run on this feed, or with its account.
    """
    config = deployment.config
    member, has_to_change = fleet.members.get(config.id), False
    if member is None:
        if deployment.desired == "stopped":
            return None
        member = _newcomer(deployment, fleet, run)
    elif _begins_anew(deployment, member):
        if deployment.desired != "stopped":
            _require_served(config, fleet)
        member.begin_anew(config)
        member.plugin_file = deployment.plugin_file
    elif deployment.desired != "stopped":
        has_to_change = member.is_unsure or member.parameters != config.parameters
        member.is_unsure = has_to_change
    member.generation = deployment.generation
    member.wanted = deployment.desired
    return member if has_to_change else None


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
