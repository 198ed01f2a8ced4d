"""Instances that come, move and go while the others go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from engine.sequencing import InstanceRunner
from engine.sequencing.host import HostRunner
from engine.trading import Registration

if TYPE_CHECKING:
    from tests.engine.sequencing.network import Network


class Changes:
    """Changes who takes part, one change at a time.

    First at the coordinator, then, after anything else may have happened, at the hosts.

    Args:
        network: Where.
        moves: How probable it is that an instance moves, per step.
        leaves: How probable it is that an instance leaves, per step; it comes back later.
        absent: Strategies that have yet to join.
    """

    def __init__(
        self, network: Network, *, moves: float, leaves: float, absent: Collection[str]
    ) -> None:
        self.network = network
        self.random = network.random
        self.moves, self.leaves = moves, leaves
        self.absent = list(absent)
        self.host_of: dict[str, str] = {}
        self.due: deque[Callable[[], None]] = deque()

    def carry_out(self) -> bool:
        """Let a host hear of what has been decided about it."""
        if not self.due:
            return False
        self.due.popleft()()
        return True

    def carry_out_all(self) -> None:
        while self.carry_out():
            pass

    # ------------------------------------------------------------------ coming

    def maybe_join(self) -> bool:
        network = self.network
        is_time = network.coordinator.decided > network.last // 2 or self.random.random() < 0.02
        if self.due or not self.absent or not is_time:
            return False
        network.counts["join"] += 1
        name = self.absent.pop(0)
        if not network.manager.takes_part(name):
            network.coordinator.register([Registration(network.strategies[name])])
        host = self.random.choice([*network.pools, name])
        network.host(host)
        self.join(host, [name])
        return True

    def join(self, host: str, names: Collection[str]) -> None:
        """Let strategies take part; their host hears of it later."""
        network = self.network
        epoch = network.next_epoch(host)
        wanted = {name: network.strategies[name].streams for name in names}
        self.forget_earlier(host)
        live_from = network.coordinator.join(host, epoch=epoch, instances=wanted)
        events = {name: network.coordinator.history(name) for name in names}
        self.host_of.update(dict.fromkeys(names, host))

        def admit() -> None:
            if network.epochs[host] != epoch:
                return  # it has been killed in between
            network.seat(host, names, epoch)
            runner = network.runners[host]
            for name in names:
                if isinstance(runner, HostRunner):
                    runner.go_live(name, live_from, events[name])
                else:
                    runner.go_live(live_from, events[name])
            runner.renew(epoch, network.reign)

        self.due.append(admit)

    def forget_earlier(self, host: str) -> None:
        """Lose what was on its way to an earlier process; a new one is reached from here on."""
        if host not in self.network.coordinator.members():
            self.network.releases[host].clear()

    # ------------------------------------------------------------------ moving

    def maybe_move(self) -> bool:
        if self.due or not self.host_of or self.random.random() >= self.moves:
            return False
        network = self.network
        network.counts["move"] += 1
        name = self.random.choice(sorted(self.host_of))
        source = self.host_of[name]
        to = self.random.choice([host for host in [*network.pools, name] if host != source])
        self.move(name, source, to)
        return True

    def move(self, name: str, source: str, to: str) -> None:
        network = self.network
        network.host(to)
        epoch = network.next_epoch(to)
        self.forget_earlier(to)
        past = network.coordinator.move(name, to=to, epoch=epoch)
        self.host_of[name] = to

        def admit() -> None:
            if network.epochs[to] == epoch:
                network.seat(to, [name], epoch)
                network.deaths.recover(to, past)
                network.runners[to].renew(epoch, network.reign)

        steps = [admit, self.dismissal(name, source)]
        self.random.shuffle(steps)
        self.due.extend(steps)

    # ------------------------------------------------------------------ going

    def maybe_leave(self) -> bool:
        network = self.network
        if self.due or not self.host_of or self.random.random() >= self.leaves:
            return False
        if network.coordinator.decided == network.last:
            return False
        network.counts["leave"] += 1
        name = self.random.choice(sorted(self.host_of))
        host = self.host_of.pop(name)
        self.due.append(self.dismissal(name, host))
        network.send(network.coordinator.leave(host, [name], "test"))
        self.absent.append(name)
        return True

    def dismissal(self, name: str, host: str) -> Callable[[], None]:
        """Return what takes an instance out of the process that carries it now."""
        network = self.network
        process: InstanceRunner | HostRunner | None = network.runners.get(host)

        def dismiss() -> None:
            if process is None or network.runners.get(host) is not process:
                return  # killed in between
            del network.instances[host][name]
            if isinstance(process, HostRunner):
                process.remove(name)
            else:
                del network.runners[host]

        return dismiss
