"""What candles a run plays: enough to tell whether it can go on with what is there now."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import DataError
from engine.market.symbols import parse_file_spec

if TYPE_CHECKING:
    from engine.config import MarketConfig

__all__ = ["market_identity"]


def market_identity(config: MarketConfig, replay: Sequence[str] = ()) -> dict[str, Any]:
    """Return the identity of a run's candles, JSON-able. Blocks: reads all files.

    The same for the same candles, whatever the pace they are played at, wherever the files lie and
    whatever they are called.

    Args:
        config: As for `open_market`.
        replay: As for `open_market`.

    Raises:
        DataError: A file cannot be read.
    """
    files = []
    for name in tuple(replay) or config.replay:
        spec = parse_file_spec(name)
        try:
            with spec.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{spec.path}: cannot be read: {error.strerror or error}") from error
        files.append({"symbol": spec.symbol, "timeframe": spec.timeframe, "sha256": digest})
    if files:
        return {"venue": config.venue, "files": files}
    synthetic = config.synthetic
    return {
        "venue": config.venue,
        "synthetic": None if synthetic is None else synthetic.model_dump(mode="json"),
    }
