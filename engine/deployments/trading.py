"""The kill switch: who may turn it, and who did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from engine.access import Caller
from engine.changes import OnChange, nobody_listens
from engine.deployments.accounts import Accounts
from engine.store import AuditEntry, Store
from engine.trading import EVERYWHERE, TradingMode

__all__ = ["ACTIONS", "TradingSwitch", "stricter"]

ACTIONS: Final[dict[str, TradingMode]] = {
    "halt": "halted",
    "reduce": "reduce",
    "resume": "running",
}


class _Switched(Protocol):
    def trading(self) -> dict[str, TradingMode]:
        """Return every mode other than ``running`` by account; an empty id stands for all."""
        ...

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        """Set the mode of an account, or of all; on record when it returns."""
        ...


class TradingSwitch:
    """Stops trading, lets positions only be reduced, or lets trading go on.

    The order manager keeps the modes in its journal, so they hold over restarts.

    Args:
        store: Where it is written down who turned it.
        accounts: Whose accounts they are.
        engine: Where it takes effect.
        clock: Milliseconds UTC.
        on_change: Told of an account, or of all with an empty id, once it is in force.
    """

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        engine: _Switched,
        clock: Callable[[], int],
        *,
        on_change: OnChange = nobody_listens,
    ) -> None:
        self._on_change = on_change
        self._store = store
        self._accounts = accounts
        self._engine = engine
        self._clock = clock

    def modes(self, caller: Caller) -> dict[str, TradingMode]:
        """Return the mode of all (`EVERYWHERE`) and of each account the caller sees.

        Raises:
            ServiceAwayError: The engine does not answer.
        """
        set_ = self._engine.trading()
        own = (account.id for account in self._accounts.every(caller))
        return {name: set_.get(name, "running") for name in (EVERYWHERE, *own)}

    def turn(self, what: str, account: str | None, caller: Caller, *, reason: str = "") -> None:
        """Turn it for an account, or for all. In force, and for good, when it returns.

        Args:
            what: One of `ACTIONS`.
            account: Its id; None: all of them, for admins only.
            caller: Who turns it.
            reason: For the audit log.

        Raises:
            ForbiddenError: The caller may not.
            NotFoundError: There is no such account, or not for the caller.
            ServiceAwayError: The engine does not answer; it may be in force.
        """
        if account is None:
            caller.require("admin", "to switch trading for all accounts")
        else:
            caller.require("trader", "to switch trading for an account")
            self._accounts.get(account, caller)
        # Before it is done: nobody shall do it unseen, and a wish on record does no harm.
        with self._store.write() as session:
            session.add(
                AuditEntry(
                    at_ms=self._clock(),
                    user_id=caller.user_id,
                    action=what,
                    kind="trading",
                    object_id=account or "*",
                    change={"reason": reason},
                )
            )
        try:
            self._engine.set_trading(ACTIONS[what], account)
        finally:  # also without an answer: it may be in force
            self._on_change(account or "", None)


def stricter(one: TradingMode, other: TradingMode) -> TradingMode:
    """Return the mode that lets less happen.

    >>> stricter("running", "reduce"), stricter("halted", "reduce")
    ('reduce', 'halted')
    """
    order: tuple[TradingMode, ...] = ("running", "reduce", "halted")
    return max(one, other, key=order.index)
