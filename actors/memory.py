"""What the manager remembers across its own death: what is wanted, and supervision's history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from actors.members import Member, Wanted
from engine.config import AccountConfig, Isolation, RunConfig, StrategyConfig
from engine.errors import ChorusError
from engine.instance import Status
from engine.journal import read_state, write_state
from engine.supervision import History, decode, encode

__all__ = ["ManagerMemory", "remembered_code"]

_STRATEGIES = "strategies.json"
_HISTORY = "supervision.json"


class _Stored(msgspec.Struct, frozen=True):
    config: str
    plugin_file: str
    isolation: Isolation
    wanted: Wanted | None
    version: int
    started: int
    account: str = ""
    parameters: dict[str, Any] | None = None
    generation: int = 0
    is_unsure: bool = False


def remembered_code(folder: Path) -> dict[str, str]:
    """Return the file each strategy is started from, by id; also for others than the manager.

    Args:
        folder: As for `ManagerMemory`.

    Raises:
        ChorusError: What is stored is damaged.
    """
    stored = _stored(folder) or []
    return {msgspec.json.decode(each.config, type=_Named).id: each.plugin_file for each in stored}


class ManagerMemory:
    """Two small files, each written at once or not at all.

    Args:
        folder: Where they are.
        sync: Wait for the disk.

    Attributes:
        history: Supervision's history as last remembered.
    """

    def __init__(self, folder: Path, *, sync: bool) -> None:
        self._folder = folder
        self._sync = sync
        data = read_state(folder / _HISTORY)
        self.history = History() if data is None else decode(data, History)

    def remember(self, history: History) -> None:
        """Store supervision's history.

        Raises:
            JournalError: The disk does not take it.
        """
        write_state(self._folder / _HISTORY, encode(history), sync=self._sync)
        self.history = history

    def store(self, members: Mapping[str, Member]) -> None:
        """Store every strategy and what is wanted of it.

        Raises:
            JournalError: The disk does not take it.
        """
        stored = [
            _Stored(
                member.text,
                member.plugin_file,
                member.isolation,
                member.wanted,
                member.version,
                member.started,
                "" if member.account is None else member.account.model_dump_json(by_alias=True),
                member.parameters,
                member.generation,
                member.is_unsure,
            )
            for member in members.values()
        ]
        write_state(self._folder / _STRATEGIES, msgspec.json.encode(stored), sync=self._sync)

    def members(self, config: RunConfig, plugin_files: Mapping[str, str]) -> dict[str, Member]:
        """Return the strategies as stored; those of the run's configuration where nothing is.

        Raises:
            ChorusError: What is stored is damaged.
        """
        stored = _stored(self._folder)
        if stored is None:
            return {
                strategy.id: Member(
                    strategy, plugin_files[strategy.type], config.isolation_of(strategy)
                )
                for strategy in config.strategies
            }
        return {member.id: member for member in map(self._member, stored)}

    def _member(self, stored: _Stored) -> Member:
        config = StrategyConfig.model_validate_json(stored.config)
        account = AccountConfig.model_validate_json(stored.account) if stored.account else None
        file = self._found(stored.plugin_file)
        member = Member(config, file, stored.isolation, account=account)
        member.wanted, member.version = stored.wanted, stored.version
        member.generation, member.is_unsure = stored.generation, stored.is_unsure
        if stored.parameters is not None:
            member.parameters = stored.parameters
        member.started = stored.started
        if stored.wanted == "stopped":
            member.set_aside(Status.STOPPED, "stopped")
        return member

    def _found(self, plugin_file: str) -> str:
        """Return where a file is that may have been moved together with the run beside it."""
        file = Path(plugin_file)
        moved = self._folder.resolve().parent / file.parent.name / file.name
        return str(moved) if not file.exists() and moved.is_file() else plugin_file

    def kinds(self) -> dict[str, Isolation]:
        """Return what the hosts are that have ever been started, as far as they are pooled."""
        return {host: "pooled" for host in self.history.hosts if ":" in host}


class _Named(msgspec.Struct):
    id: str


def _stored(folder: Path) -> list[_Stored] | None:
    """Return what is stored of every strategy; None: nothing ever was."""
    data = read_state(folder / _STRATEGIES)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=list[_Stored])
    except msgspec.MsgspecError as error:
        raise ChorusError(
            f"{str(folder / _STRATEGIES)!r}: damaged: {error}; restore it from a copy"
        ) from error
