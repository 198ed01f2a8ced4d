"""Processes that die at any moment, and what outlives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.instance import Instance
from engine.sequencing import Past, SeatState, Stored
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.host import HostRunner
from engine.sequencing.records import Record, Recorder

if TYPE_CHECKING:
    from tests.engine.sequencing.network import Network


class Memory(Recorder):
    """A recorder that outlives the coordinator; what was not committed is lost with it."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.committed = 0

    def add(self, record: Record) -> None:
        self.records.append(msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record))

    def commit(self) -> None:
        self.committed = len(self.records)

    def lose(self, count: int) -> None:
        """Lose the newest records, and all that were not committed."""
        del self.records[self.committed - count :]
        self.committed = len(self.records)


class Deaths:
    """Ends processes and starts others in their place.

    Args:
        network: Where.
        kills: How probable a death is, per step.
        stores: How probable it is that a host's states are stored, per step; who recovers then is
            given any of those ever stored.
        disasters: How probable it is, per step, that everything dies at once and the coordinator's
            records lose their end.
    """

    def __init__(self, network: Network, *, kills: float, stores: float, disasters: float) -> None:
        self.network = network
        self.random = network.random
        self.kills, self.stores, self.disasters = kills, stores, disasters
        self.memory = Memory()
        self.stored: dict[str, list[bytes]] = {}
        self.refusals: list[str] = []
        self.begun = 0

    def maybe_kill(self) -> bool:
        if self.random.random() >= self.kills:
            return False
        host = self.random.choice([*self.network.coordinator.members(), ""])
        if host:
            self.kill_runner(host)
        else:
            self.kill_coordinator()
        return True

    def kill_runner(self, host: str) -> None:
        """Start another in its place; messages from and to the old one are still under way."""
        network = self.network
        network.counts["runner"] += 1
        epoch = network.next_epoch(host)
        network.releases[host].clear()
        past = network.coordinator.rejoin(host, epoch=epoch)
        network.start(host, epoch)
        network.seat(host, list(past.joined), epoch)
        self.recover(host, past)

    def recover(self, host: str, past: Past) -> None:
        """Have a host take its past on, with any states there are."""
        states = {
            name: SeatState.decode(
                self.random.choice(self.stored[name][self.random.choice((0, -1)) :])
            )
            for name in past.joined
            if name in self.stored
        }

        def rebuild(name: str) -> Instance:
            raise AssertionError(f"{name}: {stored.refused}")

        stored = Stored(states, rebuild)
        self.network.runners[host].recover(past, stored)
        self.network.counts["used"] += len(stored.used)
        self.refusals += stored.refused.values()
        assert set(stored.used) | set(stored.refused) == set(states)

    def maybe_store(self) -> bool:
        """Store the states of a host; they outlive everything."""
        runners = self.network.runners
        if self.random.random() < self.stores and runners:
            runner = runners[self.random.choice(sorted(runners))]
            if isinstance(runner, HostRunner):
                states, failures = runner.store(runner.instances)
                assert not failures
            else:
                state = runner.store()
                states = [] if state is None else [state]
            for each in states:
                self.stored.setdefault(each.instance, []).append(each.encode())
        return False

    def kill_coordinator(self) -> None:
        """Build it again from what it had committed; messages are lost on both sides."""
        network = self.network
        network.counts["coordinator"] += 1
        network.reign += 1
        self.memory.lose(0)
        network.manager = network.new_manager()
        network.coordinator = Coordinator(
            network.manager, self.memory, reign=network.reign, spool=network.spool
        )
        network.coordinator.restore(network.published, list(self.memory.records))
        network.market_to_manager.clear()
        network.coordinator.add_slices(network.published)
        for host, runner in network.runners.items():
            for lost in (network.to_manager[host], network.releases[host]):
                for _ in range(self.random.randint(0, len(lost))):
                    lost.popleft()
            network.to_manager[host].append(runner.repeat(network.reign))

    def maybe_lose_everything(self) -> bool:
        """End every process; the end of what the coordinator recorded did not reach the disk."""
        network = self.network
        if network.changes.due or self.random.random() >= self.disasters:
            return False
        records = len(self.memory.records)
        lost = self.random.randint(0, min(40, records - self.begun))
        self.memory.committed = records
        self.memory.lose(lost)
        network.runners.clear()
        self.kill_coordinator()
        for answers in network.to_manager.values():
            answers.clear()
        for host in list(network.coordinator.members()):
            self.kill_runner(host)
        network.operating.forget_lost()
        return True
