"""The definitions that come with Chorus: one for each built-in type, and some sets of rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.catalog.definitions import Definitions, Draft
from engine.catalog.discovery import Catalog, default_folders
from engine.config.document import read_document
from engine.errors import ConfigError

__all__ = ["built_ins", "seed_built_ins"]


class _Packaged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A file of the folder `strategies/definitions`; its name is the key."""

    name: str
    description: str
    strategy_type: str
    defaults: dict[str, Any]
    schema: dict[str, Any] | None = None


def seed_built_ins(definitions: Definitions, catalog: Catalog) -> list[str]:
    """Bring the definitions that come with Chorus up to date; again, nothing changes.

    Called at each start, by every engine.

    Args:
        definitions: Where they are written.
        catalog: The types there are; what needs another one is left out.

    Returns:
        The keys of those that are new or have a new version.
    """
    return definitions.seed(built_ins(catalog))


def built_ins(catalog: Catalog) -> Iterator[Draft]:
    """Yield what comes with Chorus, of the types there are.

    Raises:
        ConfigError: A packaged file is damaged.
    """
    folder = default_folders()[0]
    for name, loaded in catalog.types.items():
        if loaded.file.parent == folder.resolve():
            yield Draft(
                key=name.lower(),
                name=loaded.metadata.name or name,
                description=loaded.metadata.description,
                strategy_type=name,
            )
    for file in sorted((folder / "definitions").glob("*.yaml")):
        draft = _draft_of(file)
        if draft.strategy_type in catalog.types:
            yield draft


def _draft_of(file: Path) -> Draft:
    try:
        packaged = msgspec.convert(read_document(file).data, _Packaged)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}") from error
    return Draft(
        key=file.stem,
        name=packaged.name,
        description=" ".join(packaged.description.split()),
        strategy_type=packaged.strategy_type,
        schema=packaged.schema,
        defaults=packaged.defaults,
    )
