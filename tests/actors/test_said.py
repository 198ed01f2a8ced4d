"""What strategies' code says reaches whoever asks, from either kind of host, and is said once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.engine import RunningEngine, running_engine
from actors.said import SaidLines
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.instance import SaidLine

TALKS = """
from strategies import Strategy, StrategyMetadata


class Talks(Strategy):
    metadata = StrategyMetadata(type="TALKS")
    state_fields = ("seen",)

    def on_init(self, services):
        self.seen = 0
        services.log.info("hello")

    def on_candle(self, candle):
        self.seen += 1
        if self.seen % 50 == 0:
            self.services.log.warning(f"candle {self.seen}")
"""


class Listener:
    """Asks an engine for what was said, and keeps it."""

    def __init__(self, engine: RunningEngine) -> None:
        self._engine = engine
        self._after = 0
        self.heard: list[SaidLine] = []

    def of(self, name: str) -> list[str]:
        return [line.text for line in self.heard if line.instance == name]

    def until(self, *wanted: tuple[str, str]) -> None:
        for _ in range(300):
            self._after, lines = self._engine.client.said(self._after)
            self.heard += lines
            if all(text in self.of(name) for name, text in wanted):
                return
            assert not self._engine.wait(0.1)
        pytest.fail(f"not heard: {wanted}, but {self.heard[-5:]}")


def test_lines_are_heard_once_also_from_hosts_that_were_killed(
    a_run: Callable[..., RunConfig], tmp_path: Path
) -> None:
    (tmp_path / "talks.py").write_text(TALKS)
    talks = {"type": "TALKS", "symbol": "AAA/USDT", "timeframe": "1m"}
    members = [
        {**talks, "id": "alone", "isolation": "dedicated"},
        {**talks, "id": "among", "isolation": "pooled"},
    ]
    config = a_run(
        members,
        candles=100_000,
        timeframes=("1m", "1m"),
        placement={"hosts": 1},
        market={"speed": 60 * 50},
    )
    with running_engine(config, discover([*default_folders(), tmp_path])) as engine:
        listener = Listener(engine)
        listener.until(*((name, "candle 100") for name in ("alone", "among")))
        for name in ("alone", "among"):
            assert listener.of(name)[:3] == ["hello", "candle 50", "candle 100"]
        hosts = {h.kind: h for h in engine.client.health().processes}
        for kind in ("dedicated", "pooled"):
            os.kill(hosts[kind].process, signal.SIGKILL)
        seen = 100 + 50 * 4
        listener.until(*((name, f"candle {seen}") for name in ("alone", "among")))
        for name in ("alone", "among"):
            said = listener.of(name)
            assert len(said) == len(set(said)), f"{name} repeats itself: {said}"


def test_the_newest_lines_are_kept_and_none_is_given_twice() -> None:
    lines = SaidLines()
    after, found = lines.since(0, 10)
    assert found == []
    for number in range(25_000):
        lines.append(SaidLine("a", "info", number, ""))
    seen: list[int] = []
    while True:
        after, found = lines.since(after, 3_000)
        if not found:
            break
        seen += [line.candle_ms for line in found]
    assert seen == list(range(5_000, 25_000))
    lines.append(SaidLine("a", "info", -5, ""))
    assert [line.candle_ms for line in lines.since(after, 9)[1]] == [-5]
    assert len(SaidLines().since(after, 9)[1]) == 0, "numbers of another life"
