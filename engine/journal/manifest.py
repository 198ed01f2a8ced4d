"""What a run is: enough to tell whether it may be continued with what is at hand now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import JournalError
from engine.timeframes import format_time

__all__ = ["FORMAT", "Manifest", "config_sha256"]

FORMAT = 1


def config_sha256(config: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of a configuration; the order of its keys does not matter.

    Args:
        config: JSON-able, e.g. ``RunConfig.model_dump(mode="json")``.
    """
    return hashlib.sha256(msgspec.json.encode(config, order="sorted")).hexdigest()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Identity of a run; use `Manifest.of` to make one.

    Attributes:
        format: Version of the run folder's layout.
        created: ISO 8601, UTC.
        config: The configuration as JSON.
        config_sha256: Its hash, see `config_sha256`.
        market: What the candles come from, e.g. file names with their hashes.
        plugins: SHA-256 of the source of every strategy type.
    """

    format: int
    created: str
    config: dict[str, Any]
    config_sha256: str
    market: dict[str, Any]
    plugins: dict[str, str]

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        *,
        created_ms: int,
        market: Mapping[str, Any],
        plugins: Mapping[str, str],
    ) -> Manifest:
        """Return the manifest of a new run.

        Args:
            config: JSON-able configuration.
            created_ms: Time of creation, ms UTC.
            market: JSON-able identity of the market.
            plugins: Strategy type to the SHA-256 of its source.
        """
        return cls(
            format=FORMAT,
            created=format_time(created_ms),
            config=dict(config),
            config_sha256=config_sha256(config),
            market=dict(market),
            plugins=dict(plugins),
        )

    def encode(self) -> bytes:
        """Return the content of the manifest's file: JSON, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes, *, source: str) -> Manifest:
        """Read a manifest back.

        Args:
            data: What `encode` returned.
            source: Path of the file, for messages.

        Raises:
            JournalError: It is damaged, was edited, or is of a newer format.
        """
        try:
            head = msgspec.json.decode(data, type=_Head)
            if head.format > FORMAT:
                raise JournalError(
                    f"{source!r}: run format {head.format} is newer than {FORMAT}, the newest "
                    "this program reads; use the program that wrote it, or a later one"
                )
            manifest = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise JournalError(
                f"{source!r}: the manifest is damaged: {error}; restore it from a copy"
            ) from error
        actual = config_sha256(manifest.config)
        if actual != manifest.config_sha256:
            raise JournalError(
                f"{source!r}: the configuration in the manifest has SHA-256 {actual}, need "
                f"{manifest.config_sha256}: it was changed; restore it from a copy"
            )
        return manifest


class _Head(msgspec.Struct):
    format: int
