"""B-API-LIST: pages of long lists over HTTP, from request to the last byte.

A server in a process of its own, as users reach it: uvicorn, a key that is checked at each request,
a store in a file. One client asks again and again over one connection on 127.0.0.1. The engine is
not there: what the API shows of it is at hand. The store holds 1,000 pooled strategies of one
user, and 100,000 orders and as many fills of theirs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from functools import cache, partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Table, insert

from api.server import Services, create_app
from api.server.serving import Server
from api.service.listening import bound
from benchmarks.harness import Measure, Scenario, Trial, percentiles
from benchmarks.results import Metric, Mode
from benchmarks.workloads import SYMBOL, macd_rsi
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.config import StrategyConfig
from engine.credentials import Vault
from engine.deployments import Accounts, Served, Strategies
from engine.deployments.configuration import written
from engine.errors import ChorusError
from engine.history import History
from engine.status import StrategyStatus
from engine.store import Fill, Order, Store, Strategy
from engine.users import Users

__all__ = ["SCENARIO"]

STRATEGIES: Final = 1_000
TRADES: Final = 100_000
REQUESTS: Final = 200

LISTS: Final = {
    "strategies": "/strategies?limit=1000",
    "orders": "/orders?limit=100",
    "orders, half way": "/orders?limit=100&after={after}",
    "orders of one": "/strategies/s0007/orders?limit=100",
    "fills": "/fills?limit=1000",
}
"""Short mode takes the first two."""

WARM_UPS: Final = 10

_BEGAN_MS: Final = 1_700_000_000_000


class _Engine:
    """What the API shows of an engine, without one."""

    def status_of(self, strategy_id: str) -> StrategyStatus | None:
        return _status(strategy_id)

    def refusal_of(self, strategy_id: str) -> str:
        del strategy_id
        return ""


@cache
def _status(name: str) -> StrategyStatus:
    return StrategyStatus(
        id=name,
        name=name,
        type="RULES",
        symbol=SYMBOL,
        timeframe="1m",
        account="paper",
        status="running",
        position=0.05,
        pnl=12.5,
        return_pct=0.125,
        trades=7,
        open_orders=1,
        last_signal="BUY @ 1704068940000",
        candles=1440,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _services(store: Store) -> Services:
    """Return what the lists need; the routes ask for nothing else."""
    nothing = Catalog({}, [])
    definitions = Definitions(store, lambda: nothing, _now_ms)
    return cast(
        "Services",
        SimpleNamespace(
            engine=_Engine(),
            users=Users(store, _now_ms, b"s" * 32),
            accounts=Accounts(store, _now_ms, Vault(b"k" * 32)),
            strategies=Strategies(
                store,
                definitions,
                catalog=lambda: nothing,
                served=lambda: Served(frozenset(), {}),
                clock=_now_ms,
            ),
            history=History(store),
        ),
    )


def fill_store(store: Store) -> str:
    """Write the strategies and what they traded; return the key of their owner."""
    services = _services(store)
    key = services.users.ensure_admin()
    if key is None:
        raise ChorusError("B-API-LIST: needs an empty store")
    caller = services.users.authenticate_key(key)
    services.accounts.create("paper", {"USDT": Decimal(10**9)}, caller, account_id="paper")
    with store.write() as session:
        session.execute(insert(Strategy), [_strategy(n, caller.user_id) for n in range(STRATEGIES)])
        for model, row in ((Order, _order), (Fill, _fill)):
            # By the table: mapped classes are inserted one by one where some have None.
            table = cast("Table", model.__table__)
            session.execute(insert(table), [row(n) for n in range(TRADES)])
    return key


def _strategy(number: int, owner_id: str | None) -> dict[str, Any]:
    name = f"s{number:04d}"
    config = macd_rsi(name, account="paper", isolation="pooled")
    return {
        "id": name,
        "owner_id": owner_id,
        "account_id": "paper",
        "given": {},
        "config": written(StrategyConfig.model_validate(config)),
        "desired": "running",
        "created_ms": _BEGAN_MS + number,
        "updated_ms": _BEGAN_MS + number,
    }


def _order(number: int) -> dict[str, Any]:
    at_ms = _BEGAN_MS + number * 60_000
    name = f"r|s{number % STRATEGIES:04d}|paper:{SYMBOL}:1m|{number}|0"
    return {
        "id": name,
        "run_id": "r",
        "strategy_id": f"s{number % STRATEGIES:04d}",
        "account_id": "paper",
        "signal_id": name,
        "slice": number,
        "symbol": SYMBOL,
        "side": "sell" if number % 2 else "buy",
        "kind": "market",
        "role": "exit" if number % 2 else "entry",
        "quantity": Decimal("0.0125"),
        "price": None,
        "filled": Decimal("0.0125"),
        "status": "filled",
        "reason": "",
        "created_ms": at_ms,
        "updated_ms": at_ms,
    }


def _fill(number: int) -> dict[str, Any]:
    order = _order(number)
    names = ("run_id", "strategy_id", "account_id", "symbol", "side", "role", "quantity")
    return {name: order[name] for name in names} | {
        "id": f"{order['id']}#1",
        "order_id": order["id"],
        "price": Decimal("64000.5"),
        "fee": Decimal("0.3200025"),
        "fee_currency": "USDT",
        "realized": Decimal("1.25") if number % 2 else None,
        "at_ms": order["created_ms"],
    }


def serve(file: Path) -> None:
    """Serve the lists of a store until the process is ended; prints the port."""
    with Store.open(file) as store, bound("127.0.0.1", 0) as listening:
        app = create_app(_services(store))
        print(listening.getsockname()[1], flush=True)
        Server(app, log_level="warning", access_log=False).run(sockets=[listening])


class _Filled(msgspec.Struct, frozen=True):
    """A store that is filled; gone with the process."""

    folder: TemporaryDirectory[str]
    key: str

    @property
    def file(self) -> Path:
        return Path(self.folder.name) / "chorus.db"


@cache
def _filled() -> _Filled:
    folder = TemporaryDirectory(prefix="chorus-bench-")
    with Store.open(Path(folder.name) / "chorus.db") as store:
        return _Filled(folder, fill_store(store))


@contextmanager
def _served(file: Path) -> Iterator[HTTPConnection]:
    """Serve a store from a process of its own; a connection to it that is kept."""
    command = [sys.executable, "-m", "benchmarks.api_listing", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            port = process.stdout.readline().strip()
            if not port.isdigit():
                raise ChorusError("B-API-LIST: the server did not start; see its output")
            with closing(HTTPConnection("127.0.0.1", int(port), timeout=30)) as connection:
                yield connection
        finally:
            process.terminate()


def _prepare(name: str, rows: int) -> Measure:
    filled = _filled()

    def measure() -> Mapping[str, float]:
        with _served(filled.file) as connection:

            def ask(path: str) -> bytes:
                headers = {"X-API-Key": filled.key}
                connection.request("GET", f"/api/v1{path}", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != HTTPStatus.OK:
                    raise ChorusError(f"B-API-LIST: GET {path}: {answer.status} {body!r}")
                return body

            path = LISTS[name]
            if "{" in path:
                path = path.format(after=_half_way(ask))
            if len(msgspec.json.decode(ask(path))["items"]) != rows:
                raise ChorusError(f"B-API-LIST: GET {path}: needs {rows} rows")
            return _timed(partial(ask, path))

    return measure


def _half_way(ask: Callable[[str], bytes]) -> str:
    """Return the cursor of the middle of all orders."""
    path = "/orders?limit=1000"
    after = ""
    for _ in range(TRADES // 2 // 1_000):
        after = msgspec.json.decode(ask(f"{path}&after={after}" if after else path))["next"]
    return after


def _timed(ask: Callable[[], bytes]) -> dict[str, float]:
    """Return milliseconds per request, after a few that are not counted."""
    for _ in range(WARM_UPS):
        ask()
    elapsed = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        ask()
        elapsed.append((time.perf_counter() - began) * 1000)
    found = percentiles(elapsed)
    return {"p50": found["p50"], "p99": found["p99"]}


def _trials(mode: Mode) -> list[Trial]:
    runs, count = (1, 2) if mode == "short" else (5, len(LISTS))
    return [
        Trial(
            {"list": name, "rows": _rows(path), "requests": REQUESTS},
            partial(_prepare, name, _rows(path)),
            runs,
            warm_ups=0,
        )
        for name, path in list(LISTS.items())[:count]
    ]


def _rows(path: str) -> int:
    return int(path.partition("limit=")[2].partition("&")[0])


SCENARIO = Scenario(
    "B-API-LIST",
    "pages of long lists over HTTP, from request to last byte",
    {"p50": Metric("ms", "lower"), "p99": Metric("ms", "lower")},
    _trials,
)

if __name__ == "__main__":
    serve(Path(sys.argv[1]))
