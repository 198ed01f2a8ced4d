"""`chorus run` and `chorus backtest`: the same configuration in actors, or in one process."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import typer

from api.cli.boundary import FAILED, short, verdict
from api.cli.columns import report_console
from api.cli.live import view_for
from api.cli.preflight import prepare
from api.cli.tables import print_report
from engine.config import RunConfig
from engine.errors import ChorusError, ConfigError

if TYPE_CHECKING:
    from engine.report import RunReport

__all__ = ["StopRequest", "backtest", "run"]

ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A run, or a single strategy, in YAML or JSON.")
]
ReplayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--replay",
        metavar="FILE...",
        help="Play these candles (Parquet or CSV) instead of what the configuration names.",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write the whole report there as JSON."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the report.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print nothing but the report, as JSON.")]
SpeedOption = Annotated[
    str | None,
    typer.Option("--speed", metavar="max|N", help="As fast as possible, or N times real time."),
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FOLDER",
        help="Keep what is needed to continue the run there, whatever happens to this machine.",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue the run in the --state folder where it was.")
]


_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2


class StopRequest:
    """Turns Ctrl-C, SIGTERM and SIGHUP into a wish the engine asks for between two candles.

    The first signal lets the run finish what it has begun and report, and is acknowledged on
    standard error at once; the second one interrupts it. Under `nohup` SIGHUP stays ignored. Use
    as context manager in the main thread.
    """

    def __init__(self) -> None:
        self.signal_name = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _STOP_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Return whether to stop; called by the engine between candles, in the main thread."""
        # Starting Ray puts a handler of its own in place, below Python's, that ends the process.
        for number in self._before:
            signal.signal(number, self._receive)
        return bool(self.signal_name)

    def wait(self, timeout_s: float) -> None:
        """Wait for a while, unless a signal has come."""
        if not self.signal_name:
            time.sleep(timeout_s)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.signal_name:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name
        line = f"stopping: {self.signal_name}; a second signal interrupts\n"
        # Not through `sys.stderr`: the signal may have come while that was being written to.
        os.write(_STDERR, line.encode())


def run(
    config: ConfigArgument,
    *,
    replay: ReplayOption = None,
    speed: SpeedOption = None,
    state: StateOption = None,
    resume: ResumeOption = False,
    report: ReportOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Run all strategies, each in its own actor, over one market-data feed.

    Ctrl-C stops cleanly and still reports; a strategy that fails is reported and holds up no other.
    """
    if resume and state is None:
        raise ConfigError("--resume: needs --state FOLDER, the folder the run was started with")
    if state is not None:
        check_name(state)
    chosen = parse_speed(speed)
    prepared = prepare(config, replay or [], report)
    if chosen is None and replay:
        # The configured speed paces the configured market; files may hold years, and holes.
        chosen = "max"
    if chosen is not None:
        prepared = prepared.at_speed(chosen)
    from actors.state import open_run_folder  # noqa: PLC0415 - other commands start without it

    run_config = prepared.config
    with ExitStack() as stack:
        folder = None
        if state is not None:
            folder = open_run_folder(
                state,
                run_config,
                prepared.catalog,
                prepared.replay,
                resume=resume,
            )
            stack.enter_context(folder)
            stack.enter_context(way_back_shown(state))
        # Ray takes seconds to import; the other commands and messages about input need not wait.
        from actors.engine import run_engine  # noqa: PLC0415 - see above

        stop = stack.enter_context(StopRequest())
        with view_for(report_console(), run_config.name, quiet=quiet or json) as view:
            result = run_engine(
                run_config,
                prepared.catalog,
                replay=prepared.replay,
                speed=run_config.market.speed,
                state=folder,
                on_status=view,
                stop=stop,
            )
        deliver(result, run_config, report=report, json=json, stopped_by=stop.signal_name)


def backtest(
    config: ConfigArgument,
    *,
    replay: ReplayOption = None,
    report: ReportOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Run the same configuration in this process, without actors, as fast as it goes.

    On the same candles its ledger hash equals that of `chorus run`.
    """
    prepared = prepare(config, replay or [], report)
    from engine.backtest import run_backtest  # noqa: PLC0415 - other commands start without it

    with StopRequest() as stop:
        with view_for(report_console(), prepared.config.name, quiet=quiet or json) as view:
            result = run_backtest(
                prepared.config, prepared.catalog, prepared.market, on_status=view, stop=stop
            )
        deliver(result, prepared.config, report=report, json=json, stopped_by=stop.signal_name)


def parse_speed(text: str | None) -> Literal["max"] | float | None:
    """Read ``--speed``.

    Raises:
        ConfigError: It is neither ``max`` nor a positive number.

    >>> parse_speed("60"), parse_speed("max"), parse_speed(None)
    (60.0, 'max', None)
    """
    if text is None:
        return None
    if text == "max":
        return "max"
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ConfigError(
            f"--speed: must be max or a number above 0 (found {text!r}); "
            "60 plays an hour in a minute"
        )
    return speed


def check_name(state: Path) -> None:
    """Refuse a name no folder has, in short; what else may be wrong is found when it is opened.

    Raises:
        ConfigError: The file system does not take it.
    """
    try:
        state.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigError(
                f"--state {short(str(state))}: no usable name of a folder: {error.strerror}"
            ) from error


@contextmanager
def way_back_shown(state: Path) -> Iterator[None]:
    """Add to the message of a failed engine that its run can be continued.

    Raises:
        ChorusError: The block raised it.
    """
    try:
        yield
    except ChorusError as error:
        if verdict(error)[1] != FAILED:
            raise
        raise ChorusError(
            f"{error}\nwhat was decided is kept in {str(state)!r}: with the cause mended, the same "
            "command with --resume continues the run"
        ) from error


def deliver(
    result: RunReport, config: RunConfig, *, report: Path | None, json: bool, stopped_by: str
) -> None:
    """Write the report where it was asked for, and show it.

    Raises:
        ConfigError: The report file cannot be written (any more).
    """
    encoded = result.to_json() if report is not None or json else b""
    if report is not None:
        try:
            report.write_bytes(encoded + b"\n")
        except OSError as error:
            raise ConfigError(
                f"--report {report}: cannot be written: {error.strerror or error}"
            ) from error
    if json:
        sys.stdout.buffer.write(encoded + b"\n")
        sys.stdout.buffer.flush()
        return
    console = report_console()
    print_report(console, result, config)
    if stopped_by:
        console.print(f"stopped early by {stopped_by}; the report covers what was decided by then")
    if report is not None:
        console.print(f"report written to {report}", soft_wrap=True, highlight=False)
