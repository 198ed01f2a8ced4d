"""Operators who let accounts follow strategies, take them out again, and halt trading."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.config import AccountConfig, RiskConfig
from engine.trading import Registration, TradingMode

if TYPE_CHECKING:
    from tests.engine.sequencing.network import Network

MODES: tuple[TradingMode, ...] = ("running", "running", "reduce", "halted")
NAMES = ("f0", "f1", "f2", "f3", "f4", "f5")


class Operating:
    """Changes what follows what and what may trade, at any moment; and reads the ledger along.

    Args:
        network: Where.
        chance: How probable a change is, per step.
    """

    def __init__(self, network: Network, chance: float) -> None:
        self.network = network
        self.random = network.random
        self.chance = chance
        self.counts = dict.fromkeys(("follow", "withdraw", "mode"), 0)
        self.read: list[bytes] = []
        self.executed: list[bytes] = []

    def maybe_operate(self) -> bool:
        if self.random.random() < self.chance:
            if self.random.random() < 0.25:
                self.set_trading()
            else:
                self.change_follower(self.random.choice(NAMES))
        return False

    def set_trading(self) -> None:
        self.counts["mode"] += 1
        account = self.random.choice((None, "paper", "f1", "f2"))
        self.network.coordinator.set_trading(self.random.choice(MODES), account)

    def change_follower(self, name: str) -> None:
        """Let a follower in, with other means each time, or take it out."""
        network = self.network
        if network.manager.takes_part(name):
            self.counts["withdraw"] += 1
            network.coordinator.withdraw([name], "test")
            return
        self.counts["follow"] += 1
        strategies = network.config.strategies
        leader = strategies[int(name[1:]) % len(strategies)]
        follower = Registration.of_follower(
            name,
            leader,
            AccountConfig(id=name, balances={"USDT": Decimal(2000)}),
            capital=Decimal(self.random.randint(100, 2000)),
            leverage=Decimal(self.random.randint(1, 4)),
            risk=RiskConfig(stop_loss=Decimal("0.004"), cooldown_candles=1),
        )
        network.coordinator.register([follower])

    def read_along(self) -> bool:
        """Read what there is of the ledger; the end of the records may have been lost since."""
        ledger, total = self.network.manager.ledger, self.network.coordinator.lines
        assert len(self.read) <= total <= ledger.lines
        self.read += ledger.lines_from(len(self.read), total - len(self.read))
        coordinator, known = self.network.coordinator, len(self.executed)
        assert known <= coordinator.executions
        self.executed += coordinator.executions_from(known, 10_000, with_roster=False).lines
        return False

    def forget_lost(self) -> None:
        """Believe that what is read no more was never there: records were lost with the disk."""
        del self.read[self.network.coordinator.lines :]
        del self.executed[self.network.coordinator.executions :]
