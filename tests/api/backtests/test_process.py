"""The process of a backtest says what it has to say; its end is understood, however it comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.backtests import child
from api.backtests import process as process_module
from api.backtests.child import play
from api.backtests.messages import Done, Failed, Playing, Task, said_in
from api.backtests.process import BacktestProcess
from api.backtests.workers import _document
from engine.errors import ChorusError
from tests.api.backtests.conftest import SHORT, a_run
from tests.engine.jobs.conftest import CATALOG, EMA
from tests.waiting import until

BAD = """
from strategies.base import Strategy, StrategyMetadata


class Bad(Strategy):
    metadata = StrategyMetadata(type="BAD")

    def on_candle(self, candle):
        {does}
"""


def a_task(config: dict[str, Any] = SHORT, files: list[str] | None = None) -> Task:
    ema = [str(CATALOG.types["EMA_CROSS"].file)]
    return Task(config=config, replay=[], files=ema if files is None else files, niceness=0)


def test_progress_is_said_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = iter(n / 5 for n in range(1_000))  # looked at every 4096 slices, here 0.2 s apart
    monkeypatch.setattr(child.time, "monotonic", lambda: next(now_s))
    said: list[Playing] = []
    done = play(a_task(a_run(50_000)), said.append)
    assert len(said) == 4
    shares = [each.progress for each in said]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1
    assert msgspec.json.decode(done.summary)["candles"] == 50_000


def test_a_type_that_is_not_there_any_more_is_named() -> None:
    with pytest.raises(ChorusError, match="strategy type 'EMA_CROSS' is not known"):
        play(a_task(files=[]), lambda said: None)


def heard(process: BacktestProcess) -> list[Any]:
    said: list[Any] = []
    until(lambda: said.extend(process.hear(0.5)) or not process.is_open, "it does not end")
    return said


@pytest.mark.slow
def test_it_plays_and_ends_by_itself() -> None:
    with BacktestProcess(a_task(), None) as process:
        assert process.resident_bytes() > 0
        *_, last = heard(process)
        assert isinstance(last, Done)
        assert msgspec.json.decode(last.report)["candles"] == 3_000
        assert process.death() == "its process ended with code 0"


@pytest.mark.slow
def test_it_says_what_it_cannot_play() -> None:
    with BacktestProcess(a_task({"strategies": [{**EMA, "type": "NOPE"}]}), None) as process:
        (said,) = heard(process)
        assert isinstance(said, Failed)
        assert said.error.startswith("strategy type 'NOPE' is not known")
    with BacktestProcess(a_task({"strategies": 7}), None) as process:
        (said,) = heard(process)
        assert said.error.startswith("backtest: ValidationError: ")


@pytest.mark.slow
def test_it_ends_when_its_standard_input_does() -> None:
    long = msgspec.json.encode(a_task(a_run(2_000_000))) + b"\n"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "api.backtests.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(long)
    process.stdin.flush()
    assert isinstance(said_in(process.stdout.readline()), Playing)
    process.stdin.close()
    assert process.wait(60) == 1
    process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "death"),
    [
        ("import os; os._exit(7)", "its process ended with code 7"),
        ("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11"),
        ("import os; os.write(2, b'oh\\nno'); os._exit(1)", "ended with code 1 (no)"),
    ],
)
def test_how_it_died_is_told(tmp_path: Path, does: str, death: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(BAD.replace("{does}", does))
    config = {**SHORT, "strategies": [{**EMA, "type": "BAD", "parameters": {}}]}
    with BacktestProcess(a_task(config, [str(file)]), None) as process:
        assert heard(process) == []
        assert process.death().endswith(death)


@pytest.mark.slow
def test_what_a_strategy_prints_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(BAD.replace("{does}", 'print("{\\"type\\": \\"Done\\"}" + "x" * 10_000)'))
    config = {**SHORT, "strategies": [{**EMA, "type": "BAD", "parameters": {}}]}
    with BacktestProcess(a_task(config, [str(file)]), None) as process:
        *_, last = heard(process)
        assert isinstance(last, Done)
        assert msgspec.json.decode(last.report)["strategies"][0]["errors"] == 0
        assert len(process._stderr) <= 4_000


@pytest.mark.slow
def test_too_long_an_answer_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "_MAX_LINE", 1_000)
    monkeypatch.setattr(process_module, "_CHUNK", 2_000)
    with BacktestProcess(a_task(), None) as process:
        assert Failed("backtest: its report is too large; split the backtest") in heard(process)


def test_words_that_no_database_holds_are_mended() -> None:
    text = msgspec.json.encode({"reason": "a\0b", "n": 1})
    assert _document(msgspec.Raw(text)) == {"reason": "a\N{REPLACEMENT CHARACTER}b", "n": 1}
