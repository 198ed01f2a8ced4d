"""Instances that note what reaches them, and the messages for them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.instance import CandleHistory, Command
from engine.sequencing import CandleBatch
from engine.sequencing.host import HostRunner
from engine.types import Candle, Decision, OrderCanceled, OrderEvent

MINUTE = 60_000
STREAM = "paper:A/B:1m"
OTHER = "paper:C/D:1m"


class Recorder:
    """An instance that notes what reaches it; it waits for every candle while it is told to."""

    def __init__(self, name: str = "a", *, decides: bool = False) -> None:
        self.id = name
        self.seen: list[str] = []
        self.expects_event = False
        self.fails_at: dict[int, BaseException] = {}
        self.event_failure: BaseException | None = None
        self.snapshot_failure: BaseException | None = None
        self.restore_failure: BaseException | None = None
        self.histories: Mapping[str, CandleHistory] = {}
        self.decides = decides

    def on_candle(self, candle: Candle) -> Decision | None:
        if candle.seq in self.fails_at:
            raise self.fails_at[candle.seq]
        self.seen.append(f"candle {candle.seq}")
        if self.decides:
            return Decision(self.id, candle.stream, candle.seq, candle.close_time, ())
        return None

    def warm(self, candle: Candle) -> None:
        self.seen.append(f"warm {candle.seq}")

    def on_event(self, event: OrderEvent) -> None:
        assert isinstance(event, OrderCanceled)
        if self.event_failure is not None:
            raise self.event_failure
        self.seen.append(event.order_id)

    def on_command(self, command: Command) -> None:
        self.seen.append(str(command))

    def must_hear(self, candle: Candle, *, late: bool) -> bool:
        del candle
        return late or self.expects_event

    @property
    def candles(self) -> int:
        return sum(step.startswith(("candle ", "warm ")) for step in self.seen)

    def snapshot(self) -> bytes:
        if self.snapshot_failure is not None:
            raise self.snapshot_failure
        return msgspec.msgpack.encode(self.seen)

    def restore(self, data: bytes, history: Mapping[str, CandleHistory], /) -> None:
        if self.restore_failure is not None:
            self.seen.append("half restored")
            raise self.restore_failure
        self.histories = history
        self.seen[:] = msgspec.msgpack.decode(data, type=list[str])


def candle(seq: int, stream: str = STREAM) -> Candle:
    return Candle(stream, seq, seq * MINUTE, (seq + 1) * MINUTE, 1.0, 1.0, 1.0, 1.0, 1.0, 0)


def a_batch(start: int, stop: int, stream: str = STREAM, published_ns: int = 0) -> CandleBatch:
    """Return candles of one stream, candle k in slice k."""
    numbers = list(range(start, stop))
    times = [(number + 1) * MINUTE for number in numbers]
    return CandleBatch(stream, published_ns, numbers, times, [candle(n, stream) for n in numbers])


def canceled(name: str, instance: str = "a") -> OrderCanceled:
    return OrderCanceled(instance, name, "A/B", "test", 0)


def a_host(*instances: Recorder, stream: str = STREAM) -> HostRunner[Recorder]:
    host: HostRunner[Recorder] = HostRunner("h", 1)
    for instance in instances:
        host.add(instance, [stream])
    return host


def told(host: HostRunner[Recorder]) -> tuple[int, int] | None:
    """Run; return `through` and `waiting` of the answer."""
    host.run()
    answer = host.answer()
    return None if answer is None else (answer.through, answer.waiting)


class Free(Recorder):
    """An instance with nothing at work: until it decides something, no candle has to wait."""

    def __init__(self, name: str = "a", *, decides_at: int = -1) -> None:
        super().__init__(name)
        self.decides_at = decides_at

    def on_candle(self, candle: Candle) -> Decision | None:
        super().on_candle(candle)
        if candle.seq != self.decides_at:
            return None
        self.expects_event = True
        return Decision(self.id, candle.stream, candle.seq, candle.close_time, ())

    def on_event(self, event: OrderEvent) -> None:
        super().on_event(event)
        self.expects_event = False

    def must_hear(self, candle: Candle, *, late: bool) -> bool:
        return self.expects_event


def quiet(*instances: Recorder) -> HostRunner[Recorder]:
    """Return a host whose instances have processed candle 0 and wait for nothing."""
    host = a_host(*instances)
    host.offer(a_batch(0, 1))
    assert told(host) == (0, -1)
    return host
