"""Tells the order manager who follows which strategy, until it knows all of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from actors.services import ServiceAwayError
from engine.config import RiskConfig
from engine.deployments import configured
from engine.deployments.bots import Following
from engine.deployments.configuration import validated
from engine.deployments.subscriptions import Subscriptions
from engine.errors import ChorusError
from engine.journal import read_state, write_state
from engine.trading import Registration

__all__ = ["BotDeployer", "OrderDesk"]

_log = logging.getLogger(__name__)


class OrderDesk(Protocol):
    """The order manager, for whoever follows."""

    def register(self, registrations: Sequence[Registration]) -> None:
        """Let followers take part; those that do already stay as they are."""
        ...

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        """Take followers out: their working entries are cancelled, their protection stays."""
        ...


class BotDeployer:
    """Brings subscriptions to the order manager: at the start all of them, then what changes.

    What was told is written down beside the order manager's own records. Telling it again does no
    harm: whatever is not known to be told is withdrawn and registered.

    Args:
        subscriptions: What is on record.
        orders: The order manager.
        folder: Of the run.
        on_news: Called when something is on record that the order manager does not know, before it
            is told: another process may have put it there.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        orders: OrderDesk,
        folder: Path,
        *,
        on_news: Callable[[], None],
    ) -> None:
        self._on_news = on_news
        self._subscriptions = subscriptions
        self._orders = orders
        self._file = folder / "bots.json"
        data = read_state(self._file)
        self._told: dict[str, int] = (
            {} if data is None else msgspec.json.decode(data, type=dict[str, int])
        )
        self._refused: dict[str, str] = {}

    @property
    def refusals(self) -> Mapping[str, str]:
        """Return why the order manager has not taken some over, by id."""
        return dict(self._refused)

    def round(self) -> None:
        """Tell the order manager what it does not know yet.

        Raises:
            ChorusError: The store or the order manager is away; nothing is lost.
        """
        active = {each.subscription.id: each for each in self._subscriptions.all_active()}
        told = dict(self._told)
        gone = [name for name in told if name not in active]
        if gone:
            self._orders.withdraw(gone, "does not follow any more")
        for name in gone:
            del told[name]
        try:
            for name, following in active.items():
                version = following.subscription.version
                if told.get(name) != version and self._tell(name, following):
                    told[name] = version
        finally:  # whoever was told before the order manager went away need not be again
            if told != self._told:
                write_state(self._file, msgspec.json.encode(told), sync=True)
                self._told = told

    def _tell(self, name: str, following: Following) -> bool:
        try:
            registration = registration_of(following)
            self._on_news()
            self._orders.withdraw([name], "follows on other terms")
            self._orders.register([registration])
        except ServiceAwayError:
            raise  # for all of them: waiting for it once more for each would take hours
        except ChorusError as error:
            if self._refused.get(name) != str(error):
                _log.warning("bot %r: not taken over by the engine: %s", name, error)
            self._refused[name] = str(error)
            return False
        self._refused.pop(name, None)
        return True


def registration_of(following: Following) -> Registration:
    """Return what the order manager is told of a subscription."""
    row = following.subscription
    return Registration.of_follower(
        row.id,
        validated(following.strategy.config),
        configured(following.account),
        capital=row.capital,
        leverage=row.leverage,
        risk=RiskConfig.model_validate(row.risk),
    )
