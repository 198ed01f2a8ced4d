"""Listening to the candles of a running engine, without taking part in it."""

from __future__ import annotations

import zmq

from actors.wire import SLICES_TOPIC, Endpoints, codec, connect, payload_of, receive_all
from engine.sequencing import SliceBatch
from engine.types import Candle

__all__ = ["CandleTap"]


class CandleTap:
    """Hears every candle that is published from here on, of every stream.

    Nobody waits for it: when it falls far behind, it misses some. One thread uses it.

    Args:
        endpoints: The engine's data plane.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = connect(self._context, zmq.SUB, endpoints.candles)
        self._socket.subscribe(SLICES_TOPIC)
        self._decode = codec(SliceBatch).decode

    def take(self, timeout_s: float) -> list[Candle]:
        """Return the candles that have come since, in order; waits for the first one."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return []
        return [
            candle
            for frame in receive_all(self._socket)
            for market_slice in self._decode(payload_of(frame)).slices
            for candle in market_slice.candles
        ]

    def close(self) -> None:
        """Hear no more."""
        self._socket.close(linger=0)
        self._context.term()
