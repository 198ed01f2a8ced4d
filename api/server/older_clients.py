"""What clients of an older trading backend ask for, as deployed strategies.

That backend knew instances of a few fixed types (arbitrage, pure market making, volume), named by
a user, a client and the type. Here an instance is a strategy, made from a definition; which one
stands for a type is said by the setting `SETTING`. Its id follows from whose it is and its older
name, so that whoever starts or stops it need not know it.

==================  ======================================================================
older               here
==================  ======================================================================
strategyType        a definition, by its key, as the setting says
userId, clientId    part of the strategy's name; whose it is follows from who signs in
pair, symbol        ``symbol``
exchangeName        ``venue``; none: ``paper``
accountLabel        name or id of an account of that venue, or of a paper account; none or
                    ``default``: the only account of that venue
amountToTrade,      a parameter of that name, else ``sizing`` with that fixed quantity
orderAmount,
tradeAmount
all others          the parameter of that name (``bidSpread``: ``bid_spread``); those the definition
                    has none for are not used, and listed in the answer
==================  ======================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from pydantic.alias_generators import to_snake

from api.server.services import Services
from engine.access import CHORUS, Caller
from engine.deployments import NewStrategy
from engine.deployments.configuration import merged, validated, written
from engine.errors import ConfigError, ConflictError, NotFoundError
from engine.money import plain
from engine.store import Account, Strategy

__all__ = ["SETTING", "Name", "Started", "Wish", "name_of", "start", "stop"]

SETTING: Final = "older_clients.definitions"
"""``{"arbitrage": "<key of a definition>", "pureMarketMaking": ..., "volume": ...}``."""

_PAPER: Final = "paper"
"""Accounts of this venue trade whatever the feed has, without an exchange."""


class Name(msgspec.Struct, frozen=True):
    """How an older client names an instance.

    Attributes:
        kind: Its strategy type, or the id of its definition.
        user: As the client says; it gives no rights.
        client: As the client says.
    """

    kind: str
    user: str
    client: str

    @property
    def key(self) -> str:
        """Return what the older backend would have called it."""
        return f"{self.user}-{self.client}-{self.kind}"

    def id_for(self, owner_id: str | None) -> str:
        """Return the id of the strategy it is, one of its own for every owner."""
        text = msgspec.json.encode([owner_id, self.kind, self.user, self.client])
        return f"older-{hashlib.sha256(text).hexdigest()[:32]}"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that is to be started.

    Attributes:
        name: Its name.
        definition: Id of its definition; empty: as the setting says for its kind.
        account: Label of its account; empty: the only one of its venue.
        config: Fields of a configuration as they are here.
        amount: Name of an older field and the quantity it says, base currency; None: not said.
        others: The other older fields.
    """

    name: Name
    definition: str = ""
    account: str = ""
    config: Mapping[str, Any] = {}
    amount: tuple[str, Decimal] | None = None
    others: Mapping[str, Any] = {}


class Started(msgspec.Struct, frozen=True):
    """An instance that runs now, and the older fields its definition has no parameters for."""

    strategy: Strategy
    definition_key: str
    ignored: list[str]


def start(services: Services, wish: Wish, caller: Caller) -> Started:
    """Start an instance: a new one, or the one of that name with what is asked for now.

    Raises:
        ForbiddenError: The caller may only look.
        NotFoundError: There is no such definition, or not for the caller.
        ConfigError: No definition stands for its type, or it could not run.
        ConflictError: The one of that name was deleted, or somebody changes it just now.
    """
    caller.require("trader", "to start an instance")
    definition_id = wish.definition or _definition_for(services, wish.name.kind)
    definition, version = services.definitions.said(definition_id, caller)
    known = {*version.schema.get("properties", {}), *version.defaults.get("parameters", {})}
    config, ignored = _configuration(wish, known)
    venue = str(merged(version.defaults, config).get("venue", _PAPER))
    strategy_id = wish.name.id_for(caller.user_id)
    try:
        strategy = services.strategies.get(strategy_id, caller)
    except NotFoundError:
        account = _account_for(services, wish.account, venue, caller)
        new = NewStrategy(id=strategy_id, definition=definition_id, account=account, config=config)
        strategy = services.strategies.create(new, caller)
    else:
        if strategy.definition_id != definition_id:
            raise ConflictError(
                f"clientId: {wish.name.client!r} names a strategy made from another definition; "
                f"delete {strategy_id!r}, or use another"
            )
        if written(validated(merged(strategy.config, config))) != strategy.config:
            services.strategies.change(strategy_id, caller, config=config)
        strategy = services.strategies.set_desired(strategy_id, "running", caller)
    return Started(strategy, definition.key, ignored)


def stop(services: Services, name: Name, caller: Caller) -> Strategy:
    """Stop an instance.

    Raises:
        ForbiddenError: The caller may only look.
        NotFoundError: The caller has started none of that name.
    """
    strategy_id = name.id_for(caller.user_id)
    return services.strategies.set_desired(strategy_id, "stopped", caller)


def name_of(strategy: Strategy) -> Name | None:
    """Return how an older client named a strategy; None: it was not started by one."""
    parts = str(strategy.config.get("name", "")).split(":")
    if len(parts) != len(Name.__struct_fields__):
        return None
    name = Name(*parts)
    return name if name.id_for(strategy.owner_id) == strategy.id else None


def _definition_for(services: Services, kind: str) -> str:
    """Return the id of the definition that stands for a strategy type.

    Raises:
        ConfigError: None does.
    """
    try:
        keys = services.settings.get(SETTING, CHORUS).value
    except NotFoundError:
        keys = {}
    key = keys.get(kind) if isinstance(keys, dict) else None
    found = services.definitions.id_of(key) if isinstance(key, str) else None
    if found is None:
        problem = "none does" if key is None else f"it names {str(key)[:80]!r}, which is none"
        raise ConfigError(
            f"strategyType: no strategy type of Chorus is called {kind!r}; the setting {SETTING!r} "
            f"must name the key of a definition that stands for it, and {problem}: make a "
            f'definition, and let an admin set {SETTING!r} to {{"{kind}": "<its key>"}}'
        )
    return found


def _configuration(wish: Wish, known: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Return fields of a configuration, and the older ones that have no place in it."""
    config: dict[str, Any] = {**wish.config}
    config["name"] = f"{wish.name.kind}:{wish.name.user}:{wish.name.client}"
    parameters, ignored = {}, []
    for field, value in wish.others.items():
        if to_snake(field) in known:
            parameters[to_snake(field)] = value
        else:
            ignored.append(field)
    if wish.amount is not None:
        field, amount = wish.amount
        if to_snake(field) in known:
            parameters[to_snake(field)] = float(amount)
        else:
            config["sizing"] = {"mode": "fixed_quantity", "value": plain(amount)}
    if parameters:
        config["parameters"] = {**config.get("parameters", {}), **parameters}
    return config, sorted(ignored)


def _account_for(services: Services, label: str, venue: str, caller: Caller) -> str:
    """Return the id of the account an older client means.

    Raises:
        ConfigError: There is none, or several.
    """
    own: list[Account] = []
    after: str | None = None
    while True:
        page = services.accounts.page(caller, after=after, limit=1000)
        own += [a for a in page.items if a.owner_id == caller.user_id and a.is_enabled]
        after = page.next
        if after is None:
            break
    fitting = [each for each in own if label in {each.id, each.name} and _serves(each, venue)]
    if not fitting and label in {"", "default"}:
        # On paper only where that is said: nobody is to take it for the exchange.
        fitting = [each for each in own if each.venue == venue]
    if len(fitting) != 1:
        raise ConfigError(
            f"accountLabel: needs the name or id of one of your accounts that are enabled, of "
            f"venue {venue!r} as exchangeName says or a paper account, got {label!r}; you have "
            f"{', '.join(f'{each.name} ({each.venue})' for each in own[:20]) or 'none'}"
        )
    return fitting[0].id


def _serves(account: Account, venue: str) -> bool:
    return account.venue in {venue, _PAPER}
