"""What a service is started with, checked as far as it can be without starting it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from engine.config import RunConfig
from engine.errors import ConfigError
from engine.market import streams_on_offer

__all__ = ["DEFAULT_PORT", "Keep", "ServicePlan", "engine_config", "make_folder"]

DEFAULT_PORT: Final = 8642

FEWEST_CANDLES: Final = 100_000
"""Of a made-up market that plays for a service: it goes on for days, not for seconds."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days a service keeps what it may forget; 0: for good.

    Attributes:
        audit_days: Entries of the audit log.
        alert_days: Alerts, once they are acknowledged.
        code_days: Copies of strategy files nothing needs any more, since a strategy was last
            started from them.
    """

    audit_days: int = 365
    alert_days: int = 90
    code_days: int = 30


class ServicePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a service is started with.

    Attributes:
        config: The run as its file has it; its accounts and strategies are deployed if they are not
            known yet.
        replay: Candle files that win over its market.
        speed: Pace of the market.
        folder: For everything that is to outlive the service.
        store: Address of the database; empty: a file in the folder.
        redis: Address of a Redis server; empty: events stay in this process.
        host: Address to listen at.
        port: Port to listen at; 0: any that is free.
        plugin_folders: Where strategy files are.
        leader_lease_s: After so long without a word of it, another service on the store leads.
        is_new_run: The store's engine goes on with the run in this folder, whichever it played
            before.
        keep: For how long it keeps what.
    """

    config: RunConfig
    replay: tuple[str, ...] = ()
    speed: Literal["max"] | float = 60.0
    folder: Path
    store: str = ""
    redis: str = ""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    plugin_folders: tuple[str, ...] = ()
    leader_lease_s: float = 10.0
    is_new_run: bool = False
    keep: Keep = Keep()


def make_folder(folder: Path) -> None:
    """Make the folder of a service where there is none; only its owner may look into it.

    Raises:
        ConfigError: It cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"--data {folder}: is a file; name a folder") from None
    except OSError as error:
        raise ConfigError(f"--data {folder}: cannot be made: {error.strerror}") from error


def engine_config(plan: ServicePlan) -> RunConfig:
    """Return the run of a service's engine: its market and rules; what trades comes later.

    Raises:
        ConfigError: There is no market.
        DataError: A candle file's name does not say what it holds.
    """
    config, market = plan.config, plan.config.market
    if market.synthetic is not None and not (plan.replay or market.replay):
        longer = max(market.synthetic.candles, FEWEST_CANDLES)
        synthetic = market.synthetic.model_copy(update={"candles": longer})
        market = market.model_copy(update={"synthetic": synthetic})
    streams = tuple(dict.fromkeys((*streams_on_offer(market, plan.replay), *config.wanted_streams)))
    if not streams_on_offer(market, plan.replay):
        raise ConfigError(
            f"run {config.name!r}: there are no candles to play; name files with --replay FILE, or "
            "set `market.replay` or `market.synthetic`"
        )
    market = market.model_copy(update={"speed": plan.speed, "streams": streams})
    changes = {"market": market, "strategies": (), "accounts": ()}
    return config.model_copy(update=changes)
