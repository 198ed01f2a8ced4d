"""The order manager's actor, without a cluster: followers, halts, and its ledger read along."""

from __future__ import annotations

import json
import select
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from actors.journal_place import JournalPlace
from actors.news import MOST_WAIT
from actors.order_manager import OrderManagerActor
from actors.progress import Stretch
from actors.wire import Endpoints
from engine.config import AccountConfig, RunConfig
from engine.errors import ConfigError
from engine.trading import Registration
from engine.types import MarketSlice

RUN = RunConfig.model_validate(
    {"strategies": [{"id": "a", "type": "EMA_CROSS", "symbol": "A/USDT", "timeframe": "1m"}]}
)
MINE = AccountConfig(id="mine", balances={"USDT": Decimal(100)})
ENOUGH_S = 60.0
"""Never waited for in a test that passes."""


class Alone(OrderManagerActor):
    """One whose market has no slices."""

    def _replayed(self, start: int, through: int | None = None) -> Iterator[MarketSlice]:
        del start, through
        return iter(())


@contextmanager
def an_actor(folder: Path) -> Iterator[Alone]:
    """Run one on the journal in a folder; whoever comes after it goes on with that."""
    with tempfile.TemporaryDirectory(prefix="c") as sockets:
        endpoints = Endpoints.in_folder(Path(sockets))
        actor = Alone(RUN, endpoints, None, JournalPlace(str(folder / "orders"), is_durable=False))
        actor.open({}, Stretch())
        is_over = threading.Event()

        def work() -> None:
            while not is_over.is_set():
                select.select([actor._mailbox.fileno()], [], [], 0.01)
                actor._mailbox.drain()
                coordinator = actor._coordinator
                actor._send(coordinator.advance())
                actor._news.tell(coordinator.lines, coordinator.executions)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield actor
        finally:
            is_over.set()
            thread.join()
            actor._coordinator._recorder.close()  # type: ignore[attr-defined]  # it is a journal
            spool = actor._manager.ledger._spool
            assert spool is not None
            spool.close()
            actor._mailbox.close()
            actor._router.context.destroy(linger=0)


def modes(lines: list[bytes]) -> list[str]:
    return [json.loads(line)[-1] for line in lines]


def test_lines_are_read_by_number_and_waited_for(tmp_path: Path) -> None:
    with an_actor(tmp_path) as actor, ThreadPoolExecutor(1) as pool:
        assert actor.ledger_lines(0, 10, 0.0) == (0, [])
        actor.set_trading("reduce")
        total, lines = actor.ledger_lines(0, 10, ENOUGH_S)
        assert (total, modes(lines)) == (1, ["reduce"])
        waiting = pool.submit(actor.ledger_lines, 1, 10, ENOUGH_S)
        actor.set_trading("halted")
        total, lines = waiting.result(ENOUGH_S)
        assert (total, modes(lines)) == (2, ["halted"])
        actor.set_trading("halted")
        total, lines = actor.ledger_lines(0, 1, 0.0)
        assert (total, modes(lines)) == (2, ["reduce"])


def test_those_who_wait_leave_threads_for_others(tmp_path: Path) -> None:
    with an_actor(tmp_path) as actor, ThreadPoolExecutor(MOST_WAIT) as pool:
        waiting = [pool.submit(actor.ledger_lines, 0, 1, ENOUGH_S) for _ in range(MOST_WAIT)]
        while actor._news._may_wait.acquire(blocking=False):
            actor._news._may_wait.release()
        assert actor.ledger_lines(0, 1, ENOUGH_S) == (0, [])
        actor.set_trading("halted")
        assert [each.result(ENOUGH_S)[0] for each in waiting] == [1] * MOST_WAIT


def test_lines_and_modes_are_the_same_after_a_restart(tmp_path: Path) -> None:
    follower = Registration.of_follower("f", RUN.strategies[0], MINE, capital=Decimal(50))
    with an_actor(tmp_path) as actor:
        actor.register([Registration(RUN.strategies[0]), follower, follower])
        actor.register([follower])
        actor.withdraw(["f", "f", "nobody"], "paused")
        actor.withdraw(["f"], "paused")
        actor.set_trading("halted", "mine")
        before = actor.ledger_lines(0, 10, ENOUGH_S)
        assert [json.loads(line)[0] for line in before[1]] == ["withdrawn", "trading"]
    with an_actor(tmp_path) as actor:
        assert actor.ledger_lines(0, 10, ENOUGH_S) == before
        assert actor.trading() == {"mine": "halted"}
        actor.register([follower])
        with pytest.raises(ConfigError, match="needs one of running, reduce, halted"):
            actor.set_trading("off")  # type: ignore[arg-type]  # as some client may
