"""What everybody knows at the end, or at any moment: the material of a report."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from actors.fleet import Fleet
from actors.members import HostProcess, Member, unwritten_states
from actors.requests import AskOutcomes
from actors.services import ServiceAwayError, call
from engine.errors import ChorusError
from engine.report import EngineExtract, StrategyOutcome, outcome_without_instance
from engine.status import StrategyStatus

__all__ = ["collect"]

EXTRACT_TIMEOUT_S = 120.0
_OUTCOMES_AT_ONCE = 500


def collect(fleet: Fleet, line_of: Callable[[Member], StrategyStatus]) -> EngineExtract:
    """Ask every host and the order manager.

    Args:
        fleet: The hosts.
        line_of: Returns a strategy's status as it is shown.

    Raises:
        ServiceAwayError: A process has died; it comes back, and then knows the answer.
    """
    progress = fleet.core.progress
    through = progress.decided if progress.finished else -1
    outcomes: dict[str, StrategyOutcome] = {}
    # Strategies may join and hosts start meanwhile.
    members = list(fleet.members.values())
    hosts = [host for host in list(fleet.hosts.values()) if host.state != "ended"]
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        for found in pool.map(lambda host: _outcomes_of(host, through, fleet), hosts):
            outcomes.update(found)
    for member in members:
        outcome = outcomes.get(member.id) or member.outcome
        outcome = outcome or outcome_without_instance(member.status)
        if not member.is_set_aside:
            member.status = outcome.last
        line = line_of(member)
        outcomes[member.id] = msgspec.structs.replace(outcome, cause=line.cause, last=line)
    return EngineExtract(
        strategies=[member.config for member in members],
        outcomes={member.id: outcomes[member.id] for member in members},
        ledger=call(fleet.core.orders.handle.extract.remote(), EXTRACT_TIMEOUT_S),
        candles=progress.candles,
        elapsed_s=progress.elapsed_s,
        latency_ms=progress.latency_ms,
        continued_after=progress.stretch.after,
        notices=unwritten_states(hosts),
    )


def _outcomes_of(host: HostProcess, through: int, fleet: Fleet) -> dict[str, StrategyOutcome]:
    if host.state == "starting":
        raise ServiceAwayError(f"host {host.id!r} is on its way back")
    found: dict[str, StrategyOutcome] = {}
    names = list(host.carried)
    for first in range(0, len(names), _OUTCOMES_AT_ONCE):
        some = names[first : first + _OUTCOMES_AT_ONCE]
        try:
            reply = fleet.ask(host, AskOutcomes(some, through))
        except ServiceAwayError:
            raise
        except ChorusError as error:
            # It does not answer: it hangs in its own code.
            for name in some:
                status = msgspec.structs.replace(
                    fleet.members[name].status, status="error", cause=str(error)
                )
                found[name] = outcome_without_instance(status)
            continue
        found.update({outcome.id: outcome for outcome in reply.outcomes})
        host.unwritten = reply.unwritten
    return found
