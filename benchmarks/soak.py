"""B-SOAK: what an engine keeps growing while it trades for an hour.

500 pooled and 20 dedicated strategies (MACD + RSI rules, each acts on about 8 % of candles at its
own time) on 100 symbols, one candle of each per second; all state is kept in a folder and waits for
the disk. Every ten seconds all processes of the engine are looked at, Ray's own included. After a
warm-up, a sixth of the time, the growth per hour is the slope of a line through

- the unique memory (USS) of all processes together;
- open file descriptors and threads, likewise;
- the bytes of Ray's logs, and of the folder of states.

The state holds every order and fill, so it grows with what is traded; the rest should not.
``--trace`` writes what was seen each time as a line of JSON, memory by kind of process.

Run: ``python -m benchmarks.soak --minutes 60 --trace soak.jsonl``
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from actors.engine import RunningEngine, running_engine
from actors.processes import unique_memory
from actors.state import open_run_folder
from benchmarks.alone import parser_of, positive, run_alone
from benchmarks.harness import Measure, Scenario, Trial, require_memory
from benchmarks.machine import processes
from benchmarks.results import Metric, Mode
from benchmarks.workloads import STRETCHES, one_of_many, run_of
from engine.catalog import Catalog, default_folders, discover
from engine.config import RunConfig
from engine.errors import ChorusError

__all__ = ["SCENARIO", "Sample", "growth_per_hour", "main"]

POOLED = 500
DEDICATED = 20
SYMBOLS = 100
HOSTS = 2
MINUTES = 60
SAMPLE_EVERY_S = 10.0
WARM_UP = 1 / 6
"""Part of the time after which growth counts: buffers are full, every code path has run."""

ENGINE_MB = 4_000
_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600
_EVERYTHING = ""


class Sample(msgspec.Struct, frozen=True):
    """What all processes of an engine use at one moment.

    Attributes:
        at_s: Since candles flow.
        memory_mb: Unique memory by kind of process, MB (1e6 bytes).
        files: Open file descriptors.
        threads: By kind of process, as memory.
        logs_mb: Files in the engine's private folder.
        state_mb: Files in the folder of states.
    """

    at_s: float
    memory_mb: dict[str, float]
    files: int
    threads: dict[str, int]
    logs_mb: float
    state_mb: float


def growth_per_hour(samples: Sequence[Sample], read: Callable[[Sample], float]) -> float:
    """Return the slope of a line (least squares) through a quantity of samples, per hour."""
    line = statistics.linear_regression([each.at_s for each in samples], list(map(read, samples)))
    return line.slope * _SECONDS_PER_HOUR


def config_of(minutes: int) -> RunConfig:
    """Return the run: the feed is a minute of market time per second."""
    symbols = [f"S{n:03d}/USDT" for n in range(SYMBOLS)]
    strategies = [
        one_of_many(f"s{n:04d}", symbols[n % SYMBOLS], idle=False, stretch=n % STRETCHES)
        | {"isolation": "dedicated" if n < DEDICATED else "pooled"}
        for n in range(DEDICATED + POOLED)
    ]
    return run_of(
        strategies,
        symbols,
        candles=minutes * _SECONDS_PER_MINUTE,
        speed=float(_SECONDS_PER_MINUTE),
        placement={"hosts": HOSTS},
    )


def look(engine: RunningEngine, state: Path, began: float) -> Sample:
    """Return what the engine uses now."""
    memory: defaultdict[str, float] = defaultdict(float)
    threads: defaultdict[str, int] = defaultdict(int)
    files = 0
    for pid in processes(_EVERYTHING):
        place = Path("/proc") / str(pid)
        try:
            title = (place / "cmdline").read_bytes().partition(b"\0")[0].decode(errors="replace")
            count = len(list((place / "task").iterdir()))
            files += len(list((place / "fd").iterdir()))
        except OSError:
            continue  # it ended meanwhile
        kind = _kind_of(title)
        threads[kind] += count
        memory[kind] += unique_memory(pid) / 1e6
    return Sample(
        at_s=round(time.monotonic() - began, 3),
        memory_mb={kind: round(mb, 3) for kind, mb in memory.items()},
        files=files,
        threads=dict(threads),
        logs_mb=_size_mb(engine.folder),
        state_mb=_size_mb(state),
    )


def _kind_of(title: str) -> str:
    """Return the class of an actor, the program of any other process."""
    if title.startswith("ray::"):
        return title.removeprefix("ray::").partition(".")[0]
    return Path(title).name


def _size_mb(folder: Path) -> float:
    sizes = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                sizes.append(path.stat().st_size)
        except OSError:
            continue  # it was there a moment ago
    return sum(sizes) / 1e6


def watch(engine: RunningEngine, state: Path) -> Iterator[Sample]:
    """Yield a sample every now and then while candles flow; the report after that takes memory."""
    began = time.monotonic()
    while not engine.wait(SAMPLE_EVERY_S):
        sample, status = look(engine, state, began), engine.client.status()
        if status.candles < status.total_candles:
            yield sample


def measure(config: RunConfig, catalog: Catalog, trace: Path | None) -> Mapping[str, float]:
    """Return what grew, and the latency, of one run.

    Raises:
        ChorusError: A strategy fell out, so that less was done than is claimed.
    """
    encode = msgspec.json.Encoder().encode
    samples: list[Sample] = []
    with (
        TemporaryDirectory(prefix="chorus-soak-") as name,
        open_run_folder(Path(name) / "state", config, catalog, [], resume=False) as state,
        running_engine(config, catalog, state=state) as engine,
    ):
        for sample in watch(engine, state.path):
            samples.append(sample)
            if trace is not None:
                with trace.open("ab") as file:
                    file.write(encode(sample) + b"\n")
        status = engine.client.status()
    fallen = [line for line in status.strategies if line.status not in ("running", "warming")]
    if fallen:
        raise ChorusError(
            f"B-SOAK: every strategy must take part at the end; {len(fallen)} do not, "
            f"first {fallen[0].id!r}: {fallen[0].status}, {fallen[0].cause}"
        )
    after = [each for each in samples if each.at_s >= samples[-1].at_s * WARM_UP]
    growth = partial(growth_per_hour, after)
    return {
        "memory": sum(samples[-1].memory_mb.values()),
        "memory growth": growth(lambda each: sum(each.memory_mb.values())),
        "file growth": growth(lambda each: each.files),
        "thread growth": growth(lambda each: sum(each.threads.values())),
        "log growth": growth(lambda each: each.logs_mb),
        "state growth": growth(lambda each: each.state_mb),
        "p99": status.latency_ms["p99"],
    }


def trial(minutes: int, trace: Path | None = None) -> Trial:
    """Return the case of one length."""

    def prepare() -> Measure:
        require_memory(ENGINE_MB)
        config, catalog = config_of(minutes), discover(default_folders())
        return lambda: measure(config, catalog, trace)

    parameters: dict[str, int | str] = {
        "minutes": minutes,
        "pooled": POOLED,
        "dedicated": DEDICATED,
        "candles": f"{SYMBOLS} per s",
    }
    return Trial(parameters, prepare, runs=1, warm_ups=0)


def _trials(mode: Mode) -> list[Trial]:
    return [] if mode == "short" else [trial(MINUTES)]


SCENARIO = Scenario(
    "B-SOAK",
    "growth per hour of an engine that trades for a long time",
    {
        "memory": Metric("MB", "lower"),
        "memory growth": Metric("MB/h", "lower"),
        "file growth": Metric("descriptors/h", "lower"),
        "thread growth": Metric("threads/h", "lower"),
        "log growth": Metric("MB/h", "lower"),
        "state growth": Metric("MB/h", "lower"),
        "p99": Metric("ms", "lower"),
    },
    _trials,
)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=positive, default=MINUTES)
    parser.add_argument("--trace", type=Path, default=None, help="write every sample here")
    arguments = parser.parse_args()
    run_alone(SCENARIO, [trial(arguments.minutes, arguments.trace)], arguments)


if __name__ == "__main__":
    main()
