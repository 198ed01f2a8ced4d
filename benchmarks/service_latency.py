"""B-SERVICE: what it costs an engine that many clients follow what it does.

A whole service, twice in turn: left alone, and with 200 WebSocket clients that follow ten streams
of candles each, while 100 candles/s flow to twenty pooled strategies. Measured is the time from a
candle to the decision on it, as the engine itself has it.

Run it with `python -m benchmarks.service_latency`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2

from benchmarks.raw_websocket import RawClient
from engine.errors import ChorusError

__all__ = ["measure"]

SYMBOLS: Final = 20
CANDLES_PER_S: Final = 100
CLIENTS: Final = 200
TOPICS: Final = 10

_STARTS_WITHIN_S: Final = 120.0
_SETTLES_WITHIN_S: Final = 60.0
_ENDS_WITHIN_S: Final = 60.0
_RUNS: Final = re.compile(r"Chorus runs at (http://127\.0\.0\.1:(\d+))")
_KEY: Final = re.compile(r"admin key: (\S+)")


def _config() -> dict[str, Any]:
    names = [f"S{number}/USDT" for number in range(SYMBOLS)]
    return {
        "name": "bench",
        "market": {"synthetic": {"symbols": [{"symbol": name} for name in names]}},
        "placement": {"isolation": "pooled", "hosts": 1},
        "accounts": [{"id": "paper", "balances": {"USDT": 10_000_000}}],
        "strategies": [
            {
                "id": f"s{number}",
                "type": "EMA_CROSS",
                "symbol": name,
                "timeframe": "1m",
                "account": "paper",
                "capital": 1000,
                "parameters": {"fast_period": 3, "slow_period": 8},
            }
            for number, name in enumerate(names)
        ],
    }


class _Service:
    """A service whose strategies all take part.

    Attributes:
        port: Where its API is.
        key: Of its admin.
    """

    def __init__(self, output: str) -> None:
        found, key = _RUNS.search(output), _KEY.search(output)
        if found is None or key is None:
            raise ChorusError(f"B-SERVICE: the service has not started: {output}")
        self.port, self.key = int(found[2]), key[1]
        self._client = httpx2.Client(
            base_url=f"{found[1]}/api/v1", headers={"X-API-Key": self.key}, trust_env=False
        )

    def await_running(self) -> None:
        """Wait until every strategy is live."""
        deadline = time.monotonic() + _SETTLES_WITHIN_S
        while True:
            items = self._client.get("/strategies").json()["items"]
            if all(each["state"]["status"] == "running" for each in items):
                return
            if time.monotonic() > deadline:
                raise ChorusError(f"B-SERVICE: not every strategy runs: {items[0]['state']}")
            time.sleep(0.5)

    def latency_ms(self) -> dict[str, float]:
        """Return how long decisions took so far."""
        found: dict[str, float] = self._client.get("/system").json()["latencyMs"]
        return found


@contextlib.contextmanager
def _running() -> Iterator[_Service]:
    with tempfile.TemporaryDirectory(prefix="chorus-bench-") as folder:
        config = Path(folder) / "bench.json"
        config.write_text(json.dumps(_config()))
        program = [sys.executable, "-u", "-c", "from api.entry import main; main()"]
        speed = str(60 * CANDLES_PER_S // SYMBOLS)
        where = ["--data", str(Path(folder) / "data"), "--port", "0", "--speed", speed]
        with subprocess.Popen(  # noqa: S603 - our own command
            [*program, "up", str(config), *where], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield _Service(_output_until_running(process))
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(_ENDS_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def _output_until_running(process: subprocess.Popen[str]) -> str:
    output, deadline = "", time.monotonic() + _STARTS_WITHIN_S
    for line in process.stdout or ():
        output += line
        if _RUNS.search(output) or time.monotonic() > deadline:
            break
    return output


async def _follow(service: _Service, clients: int, seconds: float) -> None:
    """Have so many clients follow for so long."""
    loop = asyncio.get_running_loop()
    following = [RawClient(service.key) for _ in range(clients)]
    for number, client in enumerate(following):
        await loop.create_connection(partial(_same, client), "127.0.0.1", service.port)
        names = (f"S{(number + n) % SYMBOLS}" for n in range(TOPICS))
        await client.subscribe([f"candles:paper:{name}/USDT:1m" for name in names])
    await asyncio.sleep(seconds)
    for client in following:
        client.close()


def _same(client: RawClient) -> RawClient:
    return client


def measure(clients: int, seconds: float) -> Mapping[str, float]:
    """Return milliseconds from candle to decision, over one service's life.

    Raises:
        ChorusError: The service does not start, or sends a client away.
    """
    with _running() as service:
        service.await_running()
        asyncio.run(_follow(service, clients, seconds))
        return service.latency_ms()


def main() -> None:
    """Measure in turn, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    for _ in range(options.runs):
        for clients in (0, CLIENTS):
            found = measure(clients, options.seconds)
            figures = "  ".join(f"{name} {value:.2f}" for name, value in found.items())
            print(f"{clients:>4} clients: candle to decision, ms: {figures}", flush=True)


if __name__ == "__main__":
    main()
