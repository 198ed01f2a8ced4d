"""The thin client everyone outside the actors uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.deployment import Deployment
from actors.services import CONTROL_TIMEOUT_S, call, call_service
from engine.config import Isolation, StrategyConfig
from engine.instance import Command, Pause, Resume, SaidLine, Update
from engine.report import EngineExtract, StrategyOutcome
from engine.sequencing.executions import ExecutionPage
from engine.status import EngineHealth, EngineStatus
from engine.trading import AccountState, Registration, TradingMode
from engine.types import Candle

__all__ = ["EngineClient"]

_START_STRATEGY_TIMEOUT_S = 120.0


class EngineClient:
    """Control calls to a running engine; knows nothing of how it is built.

    Every method may raise `ChorusError`: unknown strategy, not allowed in its state, or no answer
    in time. None of them holds up candles.
    """

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._orders: Any = None

    def status(self) -> EngineStatus:
        """Return the state of everything as last heard."""
        status: EngineStatus = call_service(self._manager.status)
        return status

    def health(self) -> EngineHealth:
        """Return how the engine and each of its processes is."""
        health: EngineHealth = call_service(self._manager.health)
        return health

    def metrics(self, strategy_id: str) -> StrategyOutcome:
        """Return one strategy's state and metrics as of its last candle."""
        outcome: StrategyOutcome = call_service(self._manager.metrics, strategy_id)
        return outcome

    def streams(self) -> tuple[str, ...]:
        """Return the streams of its feed, e.g. ``paper:BTC/USDT:1m``."""
        streams: tuple[str, ...] = call_service(self._manager.streams)
        return streams

    def candles(self, stream: str, *, limit: int, before_ms: int | None = None) -> list[Candle]:
        """Return the newest candles of a stream, oldest first.

        Args:
            stream: One of `streams`.
            limit: How many at most.
            before_ms: Only those that open before this time, ms UTC.
        """
        candles: list[Candle] = call_service(self._manager.candles, stream, limit, before_ms)
        return candles

    def pause(self, strategy_id: str) -> None:
        """Stop a strategy from wanting anything; it keeps watching the market."""
        self._command(strategy_id, Pause())

    def resume(self, strategy_id: str) -> None:
        """Let a paused strategy act again."""
        self._command(strategy_id, Resume())

    def update(self, strategy_id: str, parameters: Mapping[str, Any]) -> None:
        """Change parameters the strategy type marks as updatable, from the next candle on."""
        self._command(strategy_id, Update(dict(parameters)))

    def start(self, config: StrategyConfig, *, plugin_file: str) -> None:
        """Add a strategy to the running engine."""
        call(
            self._manager.start_strategy.remote(config, plugin_file),
            _START_STRATEGY_TIMEOUT_S,
        )

    def deploy(self, deployments: Sequence[Deployment]) -> dict[str, str]:
        """Want strategies as they are deployed; the engine brings it about by itself.

        Telling it again changes nothing. Known strategies that are not named stay as they are.

        Returns:
            By id, why some could not be taken over; telling it again may help.
        """
        refused: dict[str, str] = call_service(
            self._manager.deploy, list(deployments), timeout_s=_START_STRATEGY_TIMEOUT_S
        )
        return refused

    def stop(self, strategy_id: str) -> None:
        """Stop a strategy and end its process; its position and protective orders stay."""
        call(self._manager.stop_strategy.remote(strategy_id))

    def restart(self, strategy_id: str) -> None:
        """Start a strategy afresh, whatever its state; its position carries over."""
        call(self._manager.restart_strategy.remote(strategy_id), _START_STRATEGY_TIMEOUT_S)

    def register(self, registrations: Sequence[Registration]) -> None:
        """Let followers of strategies take part; those that do already stay as they are."""
        call_service(self._order_manager().register, list(registrations))

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        """Take followers out: their working entries are cancelled, their protection stays."""
        call_service(self._order_manager().withdraw, list(ids), reason)

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        """Let an account, or all, trade (``running``), only get out (``reduce``) or ``halted``."""
        call_service(self._order_manager().set_trading, mode, account)

    def trading(self) -> dict[str, TradingMode]:
        """Return every mode other than ``running`` by account; an empty id stands for all."""
        modes: dict[str, TradingMode] = call_service(self._order_manager().trading)
        return modes

    def account_states(self) -> list[AccountState]:
        """Return balance, equity and so on per account and currency."""
        states: list[AccountState] = call_service(self._order_manager().account_states)
        return states

    def said(self, after: int, limit: int = 1_000) -> tuple[int, list[SaidLine]]:
        """Return what strategies' code has said since, and what to ask with the next time.

        Nobody waits for it: lines may be lost when a process dies, or when nobody asks for long.

        Args:
            after: As the time before; 0: from the oldest that is kept.
            limit: Lines at most.
        """
        said: tuple[int, list[SaidLine]] = call_service(self._manager.said, after, limit)
        return said

    def ledger_lines(self, start: int, limit: int, wait_s: float) -> tuple[int, list[bytes]]:
        """Return how many lines the ledger has, and those from `start` on, `limit` at most.

        Args:
            start: Number of the first one wanted, from 0; the same for good.
            limit: How many at most.
            wait_s: How long to wait for line `start`.
        """
        found: tuple[int, list[bytes]] = call_service(
            self._order_manager().ledger_lines,
            start,
            limit,
            wait_s,
            timeout_s=CONTROL_TIMEOUT_S + wait_s,
        )
        return found

    def executions(
        self, start: int, limit: int, wait_s: float, *, with_roster: bool
    ) -> ExecutionPage:
        """Return lines on who took part in which slice, as `ledger_lines`.

        Args:
            start: Number of the first one wanted, from 0; the same for good.
            limit: How many at most.
            wait_s: How long to wait for line `start`.
            with_roster: Tell, too, who took part before them.
        """
        page: ExecutionPage = call_service(
            self._order_manager().executions,
            start,
            limit,
            wait_s,
            with_roster,
            timeout_s=CONTROL_TIMEOUT_S + wait_s,
        )
        return page

    def _order_manager(self) -> Any:
        """Return the order manager; asking it directly keeps no thread of the manager waiting."""
        if self._orders is None:
            self._orders = call_service(self._manager.order_manager)
        return self._orders

    def stop_engine(self) -> None:
        """Stop the feed; what is published is still decided."""
        call_service(self._manager.stop)

    def move(self, strategy_id: str, isolation: Isolation) -> None:
        """Move a strategy to an actor of its own (dedicated) or to a shared one (pooled)."""
        call(
            self._manager.move_strategy.remote(strategy_id, isolation),
            _START_STRATEGY_TIMEOUT_S,
        )

    def extract(self) -> EngineExtract:
        """Return everything a report needs."""
        extract: EngineExtract = call_service(
            self._manager.extract, timeout_s=_START_STRATEGY_TIMEOUT_S
        )
        return extract

    def _command(self, strategy_id: str, command: Command) -> None:
        call(self._manager.command.remote(strategy_id, command))
