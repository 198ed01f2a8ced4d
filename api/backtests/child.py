"""The process of one backtest: `python -m api.backtests.child`, told on standard input.

It knows no store, no key and no address. Standard input stays open as long as whoever started it
lives: at its end this process ends, too, wherever it is. What strategies print goes to standard
error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from api.backtests.messages import Done, Failed, Playing, Said, Task
from engine.backtest import Backtest, digest, run_backtest
from engine.catalog.discovery import collect
from engine.config import RunConfig
from engine.errors import ChorusError
from engine.market import open_market
from engine.status import EngineStatus

__all__ = ["main", "play"]

SAY_EVERY_S: Final = 0.5


def main() -> None:
    """Play the backtest standard input tells of, and say on standard output what came of it."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)
        task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _step_back(task.niceness)

        def say(said: Said) -> None:
            line = memoryview(msgspec.json.encode(said) + b"\n")
            while line:  # a pipe may take a part of it
                line = line[out.write(line) :]

        try:
            say(play(task, say))
        except ChorusError as error:
            say(Failed(str(error)))
        except MemoryError:
            say(Failed("backtest: needs more memory than there is; make it smaller"))
        except Exception as error:  # noqa: BLE001 - whatever it is, its user is told
            traceback.print_exc()
            say(Failed(f"backtest: {type(error).__name__}: {error}"))


def play(task: Task, say: Callable[[Playing], None]) -> Done:
    """Play a backtest as `chorus backtest` does.

    Args:
        task: What to play.
        say: Told how far it is, at most every `SAY_EVERY_S`.

    Raises:
        ChorusError: It cannot be played.
    """
    config = RunConfig.model_validate(task.config)
    catalog = collect(Path(file) for file in task.files)
    catalog.used_by(config)
    market = open_market(config.market, config.wanted_streams, task.replay)
    said_s = time.monotonic()
    curves: dict[str, Any] = {}

    def tell(status: EngineStatus) -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if now_s - said_s >= SAY_EVERY_S and status.total_candles:
            said_s = now_s
            say(Playing(status.candles / status.total_candles))

    def keep_curves(backtest: Backtest) -> None:
        for name, instance in backtest.instances.items():
            curves[name] = instance.equity_curve()

    report = run_backtest(config, catalog, market, on_status=tell, on_end=keep_curves)
    kept = digest(report, curves)
    return Done(msgspec.Raw(kept.summary), msgspec.Raw(kept.report))


def _end_with_parent() -> None:
    """Wait until whoever started this process has gone."""
    # Not through `sys.stdin`, whose lock would be held when the interpreter ends.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _step_back(niceness: int) -> None:
    """Leave processor and memory to those who trade."""
    with contextlib.suppress(OSError):
        os.nice(niceness)
    with contextlib.suppress(OSError):  # Linux: short of memory, this process is ended first
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main()
