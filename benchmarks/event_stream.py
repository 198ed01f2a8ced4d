"""B-STREAM: from publishing an event until a WebSocket client has it, 200 clients of 10 topics.

A process publishes 100 candles and 10 metrics a second into a log in memory and serves them; a
second one holds all clients. Each follows ten topics: eight streams of candles, metrics and fills.
Where there are 100 streams a client gets 8 candles a second, where there are 8 it gets all 100. The
clock of an event goes from just before it is published until its text has arrived, by the clock
both processes share; every event of every client counts, and none may be missing.

"publish p99" is how long publishing held up the publisher, who would be trading, while clients were
connected; "publish alone p99" the same before there were any. CPU is the server's, of one core.

Run: ``python -m benchmarks.event_stream --streams 8 --seconds 10``
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from api.server import Services, create_app
from api.server.serving import Server
from api.service.listening import bound
from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Scenario, Trial, percentiles
from benchmarks.raw_websocket import RawClient
from benchmarks.results import Metric, Mode
from engine.errors import ChorusError
from engine.events import Broadcaster, MemoryEventLog
from engine.store import Store
from engine.users import Users

__all__ = ["SCENARIO", "main"]

CLIENTS: Final = 200
CANDLES_PER_S: Final = 100
METRICS_PER_S: Final = 10
CANDLE_TOPICS: Final = 8
SECONDS: Final = {"full": 20, "short": 5}
ALONE_S: Final = 2.0

_ANSWER_WITHIN_S: Final = 60.0
_LAST_WITHIN_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.05
_SECRET: Final = b"benchmark" * 4


class _Served(msgspec.Struct):
    """What the server's process has to say in the end."""

    cpu_s: float
    alone_us: list[float]
    publish_us: list[float]


class _Publisher:
    """Publishes at an even pace, in a thread of its own, as an engine would."""

    def __init__(self, log: MemoryEventLog, streams: int) -> None:
        self._log = log
        self._topics = [f"candles:bench:S{number}/USDT:1m" for number in range(streams)]

    def run(self, seconds: float) -> list[float]:
        """Publish for so long; returns how long each call took, in microseconds."""
        took: list[float] = []
        began = time.monotonic()
        for number in range(int(seconds * CANDLES_PER_S)):
            time.sleep(max(0.0, began + number / CANDLES_PER_S - time.monotonic()))
            took.append(self._publish(self._topics[number % len(self._topics)], number, ""))
            if number % (CANDLES_PER_S // METRICS_PER_S) == 0:
                took.append(self._publish("metrics", number, f"s{number % 100}"))
        return took

    def _publish(self, topic: str, number: int, strategy_id: str) -> float:
        data = {
            "openTime": 1_700_000_000_000 + number * 60_000,
            "open": 100.25,
            "high": 101.5,
            "low": 99.75,
            "close": 100.5,
            "volume": 12.125,
            "sent": time.monotonic_ns(),
        }
        began = time.perf_counter()
        self._log.publish(topic, data, strategy_id=strategy_id)
        return (time.perf_counter() - began) * 1e6


def serve(parent: Connection, streams: int, seconds: float) -> None:
    """Be the server's process: say where it is, publish when told to, say how it was."""
    ids = count(int(time.time() * 1000))
    with tempfile.TemporaryDirectory(prefix="chorus-bench-") as folder:
        store = Store.open(Path(folder) / "chorus.db")
        users = Users(store, lambda: next(ids), _SECRET)
        log = MemoryEventLog(now_ms=lambda: time.time_ns() // 1_000_000)
        broadcaster = Broadcaster(log)
        services = cast("Services", SimpleNamespace(users=users, broadcaster=broadcaster))
        server = Server(create_app(services), log_config=None, access_log=False)
        with contextlib.closing(store), bound("127.0.0.1", 0) as listener:
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            publisher = _Publisher(log, streams)
            alone = publisher.run(ALONE_S)
            parent.send((listener.getsockname()[1], users.ensure_admin()))
            parent.recv()
            began = time.process_time()
            took = publisher.run(seconds)
            cpu_s = time.process_time() - began
            parent.send(_Served(cpu_s, alone, took))
            parent.recv()
            server.should_exit = True
            thread.join()
        broadcaster.close()


def follow(parent: Connection, port: int, key: str, streams: int, expected: int) -> None:
    """Be the clients' process: say when all follow, then how long each event took."""
    asyncio.run(_follow(parent, port, key, streams, expected))


async def _follow(parent: Connection, port: int, key: str, streams: int, expected: int) -> None:
    clients = [RawClient(key) for _ in range(CLIENTS)]
    loop = asyncio.get_running_loop()
    for number, client in enumerate(clients):
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        first = number * CANDLE_TOPICS
        candles = [f"S{(first + n) % streams}" for n in range(CANDLE_TOPICS)]
        topics = [*(f"candles:bench:{name}/USDT:1m" for name in candles), "metrics", "fills"]
        await client.subscribe(topics)
    parent.send("all follow")
    await loop.run_in_executor(None, parent.recv)  # the publisher has ended
    deadline = loop.time() + _LAST_WITHIN_S
    while sum(len(each.delays_ms) for each in clients) < expected:
        if loop.time() > deadline:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    parent.send([client.delays_ms for client in clients])
    for client in clients:
        client.close()


def _same(client: RawClient) -> RawClient:
    return client


def measure(streams: int, seconds: int) -> Mapping[str, float]:
    """Return the figures of one run.

    Raises:
        ChorusError: A process gave no answer, or events were missing.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    our_end, their_end = spawn.Pipe()
    candles = seconds * CANDLES_PER_S * CANDLE_TOPICS // streams
    expected = CLIENTS * (candles + seconds * METRICS_PER_S)
    server = spawn.Process(target=serve, args=(theirs, streams, float(seconds)), daemon=True)
    server.start()
    try:
        port, key = _answer_of(ours)
        arguments = (their_end, port, key, streams, expected)
        clients = spawn.Process(target=follow, args=arguments, daemon=True)
        clients.start()
        try:
            _answer_of(our_end)
            ours.send("begin")
            served = cast("_Served", _answer_of(ours, seconds))
            our_end.send("no more")
            delays = [each for client in _answer_of(our_end) for each in client]
            ours.send("end")
            server.join(_ANSWER_WITHIN_S)
        finally:
            clients.kill()
    finally:
        server.kill()
    if len(delays) != expected:
        raise ChorusError(
            f"B-STREAM: every client must get every event; {len(delays):,} of {expected:,} came"
        )
    found = percentiles(delays)
    return {
        "p50": found["p50"],
        "p90": sorted(delays)[round((len(delays) - 1) * 0.9)],
        "p99": found["p99"],
        "max": found["max"],
        "publish p99": percentiles(served.publish_us)["p99"],
        "publish alone p99": percentiles(served.alone_us)["p99"],
        "events/s": len(delays) / seconds,
        "CPU": 100 * served.cpu_s / seconds,
    }


def _answer_of(end: Connection, more_s: float = 0.0) -> Any:
    if not end.poll(_ANSWER_WITHIN_S + more_s):
        raise ChorusError(f"B-STREAM: a process gave no answer within {_ANSWER_WITHIN_S:g} s")
    return end.recv()


def trial(streams: int, seconds: int, runs: int) -> Trial:
    """Return the case of one number of streams."""
    parameters: dict[str, int | str] = {
        "clients": CLIENTS,
        "streams": streams,
        "candles": f"{CANDLES_PER_S}/s",
        "seconds": seconds,
    }
    return Trial(parameters, lambda: lambda: measure(streams, seconds), runs, warm_ups=0)


def _trials(mode: Mode) -> list[Trial]:
    if mode == "short":
        return [trial(100, SECONDS[mode], runs=1)]
    return [trial(streams, SECONDS[mode], runs=3) for streams in (100, CANDLE_TOPICS)]


_MS = Metric("ms", "lower")
_US = Metric("µs", "lower")

SCENARIO = Scenario(
    "B-STREAM",
    "publishing until a WebSocket client has the event, 200 clients of 10 topics",
    {
        **dict.fromkeys(("p50", "p90", "p99", "max"), _MS),
        **dict.fromkeys(("publish p99", "publish alone p99"), _US),
        "events/s": Metric("events/s", "higher"),
        "CPU": Metric("%", "lower"),
    },
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--streams", type=positive, nargs="+", default=[100, CANDLE_TOPICS])
    parser.add_argument("--seconds", type=positive, default=10)
    arguments = parser.parse_args()
    run_alone(
        SCENARIO,
        [trial(streams, arguments.seconds, arguments.runs) for streams in arguments.streams],
        arguments,
    )


if __name__ == "__main__":
    main()
