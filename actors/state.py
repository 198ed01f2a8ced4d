"""The folder a run keeps its durable state in, and whether it may be continued from there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.catalog import Catalog
from engine.config import RunConfig
from engine.errors import ConfigError, JournalError
from engine.journal import Manifest, RunFolder
from engine.market.identity import market_identity

__all__ = ["open_run_folder"]


def open_run_folder(
    path: Path,
    config: RunConfig,
    catalog: Catalog,
    replay: Sequence[str],
    *,
    resume: bool,
) -> RunFolder:
    """Make the folder of a new run, or open that of one to be continued; it is locked.

    A run is a function of its configuration, candles and strategies' code: it can be continued
    only with the very same. The pace is no part of it.

    Args:
        path: The folder.
        config: The run.
        catalog: The strategy types found.
        replay: Candle files of the command line.
        resume: Continue the run in the folder.

    Raises:
        ConfigError: There is no run to continue or one already, it is not this one, the folder
            cannot be used, or another engine uses it.
        DataError: A candle file cannot be read.
    """
    now = Manifest.of(
        _lasting(config),
        created_ms=time.time_ns() // 1_000_000,
        market=market_identity(config.market, replay),
        plugins={name: loaded.code_hash for name, loaded in catalog.used_by(config).items()},
    )
    if not resume:
        with _as_option():
            is_taken = RunFolder.exists(path)
        if is_taken:
            raise ConfigError(
                f"--state {path}: holds a run already; add --resume to continue it, or name "
                "another folder"
            )
        with _as_option():
            return RunFolder.create(path, now)
    with _as_option():
        folder = RunFolder.open(path)
    with contextlib.ExitStack() as undo:
        undo.callback(folder.close)
        _require_same(path, folder.manifest, now)
        undo.pop_all()
    return folder


@contextlib.contextmanager
def _as_option() -> Iterator[None]:
    """Say of a folder that cannot be used which option named it: nothing has started so far."""
    try:
        yield
    except (ConfigError, JournalError) as error:
        raise ConfigError(f"--state {error}") from error


def _lasting(config: RunConfig) -> dict[str, Any]:
    content: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    # The pace is none of its business, and what files hold is told by their content.
    for field in ("speed", "replay"):
        content["market"].pop(field, None)
    return content


def _require_same(path: Path, then: Manifest, now: Manifest) -> None:
    """Check that a run would go on as it began.

    Raises:
        ConfigError: Its configuration, candles or strategies' code have changed.
    """
    changed = [
        f"{key} of the configuration"
        for key in sorted(then.config.keys() | now.config.keys())
        if then.config.get(key) != now.config.get(key)
    ]
    if then.market != now.market:
        changed.append("the candles")
    changed += [
        f"the code of strategy type {name}"
        for name in sorted(then.plugins.keys() | now.plugins.keys())
        if then.plugins.get(name) != now.plugins.get(name)
    ]
    if changed:
        raise ConfigError(
            f"--state {path}: the run of {then.created} cannot be continued, it would not go on "
            f"as it began: {', '.join(changed)} changed; put that back, or start a new run in "
            "another folder"
        )
