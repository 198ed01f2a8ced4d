"""`watch`, `logs` and `top` against a service."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pytest

from api.cli.remote.top import Overview
from engine.events import MemoryEventLog
from tests.api.cli_remote.conftest import Desk, seen, started
from tests.api.server.engine import FakeEngine
from tests.waiting import until

pytestmark = pytest.mark.slow
WITHIN_S = 60.0
CHORUS = [sys.executable, "-c", "from api.entry import main; main()"]


@contextmanager
def while_following(desk: Desk, happen: Callable[[], object]) -> Iterator[None]:
    """Let something happen as soon as somebody follows the stream."""

    def wait_for_somebody() -> None:
        until(desk.is_followed)
        happen()

    thread = threading.Thread(target=wait_for_somebody)
    thread.start()
    yield
    thread.join()


def test_events_are_watched(desk: Desk, log: MemoryEventLog) -> None:
    log.publish("fills", {"n": 0})
    before = log.newest()
    owner = desk.json("users")["items"][0]["id"]
    log.publish("fills", {"n": 1, "side": "buy"}, strategy_id="one", owner_id=owner)
    log.publish("orders", {"n": 2}, strategy_id="one", owner_id=owner)
    log.publish("fills", {"n": 3}, strategy_id="two", owner_id=owner)
    log.publish("fills", {"n": 4}, strategy_id="three", owner_id="somebody else")
    log.publish("fills", {"n": 5})

    def watched(*args: str) -> list[Any]:
        lines = desk.lines("watch", *args, "--after", before, "--json")
        return [json.loads(line)["data"]["n"] for line in lines]

    assert watched("--count", "4") == [1, 2, 3, 5]
    assert watched("fills", "--count", "3") == [1, 3, 5]
    assert watched("fills", "--strategy", "one", "--count", "2") == [1, 5]
    (line,) = desk.lines("watch", "fills", "--after", before, "--count", "1")
    assert line == "2023-11-14 22:13:20  fills  one  n=1 side=buy"


def test_without_an_id_it_begins_now(desk: Desk, log: MemoryEventLog) -> None:
    log.publish("fills", {"n": 1})
    with while_following(desk, lambda: log.publish("fills", {"n": 2})):
        (line,) = desk.lines("watch", "fills", "--count", "1")
    assert line.endswith("fills  n=2")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fills", "--after", "nothing"], "nothing"),
        (["nonsense"], "nonsense"),
        (["fills", "--strategy", "x" * 300], "characters"),
    ],
)
def test_what_cannot_be_followed_is_refused(desk: Desk, args: list[str], said: str) -> None:
    result = desk.call("watch", *args)
    assert (result.exit_code, result.stdout, said in result.stderr) == (2, "", True)


def test_logs_are_shown_and_followed(desk: Desk) -> None:
    started(desk)
    logs = desk.services.logs
    for n, level in enumerate(("debug", "info", "error")):
        logs.say("one", level, f"line {n}\nof two")
    logs.write()
    shown = desk.json_lines("logs", "one")
    assert [(line["level"], line["text"]) for line in shown] == [
        ("debug", "line 0\nof two"), ("info", "line 1\nof two"), ("error", "line 2\nof two"),
    ]  # fmt: skip
    assert desk.lines("logs", "one", "--level", "error")[0].endswith("error   line 2")
    assert [line["text"][:6] for line in desk.json_lines("logs", "one", "-n", "1")] == ["line 2"]
    missing = desk.call("logs", "two")
    assert (missing.exit_code, "strategy 'two': there is none" in missing.stderr) == (2, True)
    with piped(desk, "logs", "one", "-f", "-n", "1", "--level", "info", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["text"] == "line 2\nof two"
        for level in ("debug", "warning"):
            logs.say("one", level, f"then {level}")
        logs.write()
        heard = json.loads(process.stdout.readline())
        assert heard["text"] == "then warning"
        assert heard == desk.json_lines("logs", "one", "-n", "1")[0]
        process.send_signal(signal.SIGINT)
        assert ended(process) == 0


def test_an_overview_takes_what_events_tell() -> None:
    overview = Overview()
    item = {
        "id": "one",
        "accountId": "paper",
        "config": {"type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m", "name": None},
        "state": {"status": "running", "returnPct": 1.5, "lastSignal": "BUY @ 1", "news": 5},
    }
    overview.list([item])
    one = overview.strategies["one"]
    assert (one.return_pct, one.last_signal, one.account) == (1.5, "BUY @ 1", "paper")

    def take(topic: str, strategy: str | None, data: dict[str, Any]) -> object:
        return overview.take({"topic": topic, "strategy": strategy, "data": data})

    take("status", "one", {"strategy": "one", "status": "error", "cause": "it broke"})
    assert overview.strategies["one"] == msgspec.structs.replace(
        one, status="error", cause="it broke"
    )
    newer = seen("two", "running", pnl=5.0)
    assert take("metrics", "two", msgspec.to_builtins(newer)) == newer
    assert overview.line() == "2 strategies: 1 error, 1 running"
    # Of a backtest, of a strategy that is not listed, of nobody.
    assert take("status", None, {"backtest": "b1", "status": "done"}) is None
    assert take("status", "three", {"status": "running"}) is None
    assert take("status", "one", {"backtest": "b1"}) is None
    overview.list([])
    assert overview.line() == "0 strategies: none"


def test_where_there_is_no_terminal_the_overview_is_shown_once(
    desk: Desk, engine: FakeEngine
) -> None:
    for n in range(8):
        started(desk, f"s{n}")
    engine.statuses["s7"] = seen("s7", "running", pnl=-5.5, trades=3)
    text = "\n".join(desk.lines("top"))
    assert all(f" s{n} " in text for n in range(8))
    assert "-5.50 USDT" in text
    assert "8 strategies: 1 running, 7 starting" in text
    listed = [json.loads(line) for line in desk.lines("top", "--once", "--json")]
    assert [(each["id"], each["pnl"]) for each in listed][7] == ("s7", -5.5)


def piped(desk: Desk, *args: str) -> subprocess.Popen[str]:
    """Call `chorus` in a process of its own, as a script does."""
    return subprocess.Popen(  # noqa: S603 - our own command
        [*CHORUS, *args],
        env={**os.environ, **desk.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> int:
    try:
        return process.wait(WITHIN_S)
    finally:
        process.kill()


def test_control_c_ends_what_has_no_end_quietly(desk: Desk, log: MemoryEventLog) -> None:
    started(desk)
    owner = desk.services.strategies.get("one", desk.admin).owner_id
    commands = {
        "watch": ("fills", {"n": 1}),
        "top": ("metrics", msgspec.to_builtins(seen("one", "running"))),
    }
    for command, (topic, data) in commands.items():
        with piped(desk, command, "--json") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            until(desk.is_followed)
            log.publish(topic, data, strategy_id="one", owner_id=owner)
            assert json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            assert (ended(process), process.stderr.read()) == (0, "")
        until(lambda: not desk.is_followed())


def test_a_reader_that_goes_away_ends_it_quietly(desk: Desk, log: MemoryEventLog) -> None:
    log.publish("fills", {})
    first = log.newest()
    for n in range(2000):
        log.publish("fills", {"n": n, "text": "x" * 100})
    with piped(desk, "watch", "fills", "--after", first) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "n=0" in process.stdout.readline()
        process.stdout.close()
        ended(process)
        assert process.stderr.read() == ""


def test_a_terminal_is_redrawn_as_things_happen(
    desk: Desk, engine: FakeEngine, log: MemoryEventLog
) -> None:
    started(desk)
    owner = desk.services.strategies.get("one", desk.admin).owner_id
    master, terminal = pty.openpty()
    environment = {**os.environ, **desk.environment(), "TERM": "xterm", "LINES": "20"}
    with subprocess.Popen(  # noqa: S603 - our own command
        [*CHORUS, "top"], env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = ""

        def shows(text: str) -> bool:
            nonlocal shown
            if select.select([master], [], [], 0.05)[0]:
                with suppress(OSError):  # nobody is at the other end any more
                    shown += os.read(master, 65_536).decode(errors="replace")
            return text in shown

        def has_ended() -> bool:
            shows("")
            return process.poll() is not None

        until(lambda: shows("starting"), lambda: shown, every_s=0.0)
        newer = seen("one", "running", pnl=1234.5, last_signal="SELL @ 1704425400000")
        log.publish("metrics", msgspec.to_builtins(newer), strategy_id="one", owner_id=owner)
        until(lambda: shows("+1,234.50 USDT"), lambda: shown, every_s=0.0)
        process.send_signal(signal.SIGINT)
        until(has_ended, lambda: shown, every_s=0.0)
        assert process.returncode == 0
        assert "SELL 01-05 03:30" in shown
        assert "Traceback" not in shown
        assert shown.rstrip().endswith("\x1b[?25h")  # the cursor is given back
    os.close(master)
