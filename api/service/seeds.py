"""Accounts and strategies of a run's configuration, deployed where they are not known yet."""

from __future__ import annotations

from engine.access import CHORUS, Caller
from engine.config import RunConfig
from engine.deployments import Accounts, Strategies
from engine.errors import ChorusError, ConflictError
from engine.users import FIRST_ADMIN, Users

__all__ = ["seed"]


def seed(config: RunConfig, users: Users, accounts: Accounts, strategies: Strategies) -> list[str]:
    """Deploy what a configuration has and the store has not, for the first admin.

    What is on record wins: whoever has changed or deleted a strategy finds it so after a restart,
    whatever the file says.

    Returns:
        What could not be deployed, for people.
    """
    caller = _first_admin(users)
    if caller is None:
        return ["accounts and strategies of the configuration are left alone: there is no admin"]
    notices = []
    for account in config.accounts:
        limits = account.model_dump(exclude_none=True, exclude={"id", "balances"})
        try:
            accounts.create(
                account.id, account.balances, caller, account_id=account.id, limits=limits
            )
        except ConflictError:
            continue  # opened at an earlier start
        except ChorusError as error:
            notices.append(f"account {account.id!r}: not opened: {error}")
    known = strategies.versions()
    for strategy in config.strategies:
        if strategy.id in known or not strategy.enabled:
            continue
        try:
            strategies.adopt(strategy, config.account_of(strategy).id, caller)
        except ChorusError as error:
            notices.append(f"strategy {strategy.id!r}: not deployed: {error}")
    return notices


def _first_admin(users: Users) -> Caller | None:
    after: str | None = None
    while True:
        page = users.page(CHORUS, after=after)
        for user in page.items:
            if user.role == "admin" and user.name == FIRST_ADMIN:
                return Caller(user.id, "admin")
        if page.next is None:
            return None
        after = page.next
