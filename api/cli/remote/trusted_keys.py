"""`chorus definitions trust` and its like: whose definitions are taken over."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import TRUSTED_KEYS, trusted_key_id
from api.cli.remote.output import Field, moment_of
from api.cli.remote.strategies import LimitOption

__all__ = ["distrust", "list_trusted_keys", "show_signing_key", "trust"]

_KEYS = (
    Field("name", lambda item: item["name"]),
    Field("id", lambda item: item["id"]),
    Field("public key", lambda item: item["publicKey"], rank=1),
    Field("trusted since", lambda item: moment_of(item["created"]), rank=2),
    Field("by", lambda item: item["authorId"], rank=3),
)


@asking
def list_trusted_keys(remote: Remote, *, limit: LimitOption = 0) -> None:
    """List the keys whose definitions may be imported; for admins.

    Example: chorus definitions trusted-keys
    """
    found = remote.api.items(path_of(*TRUSTED_KEYS), limit)
    remote.printer.items("trusted keys", _KEYS, found.items, found.next)


@asking
def trust(
    remote: Remote,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, for people.")],
    public_key: Annotated[
        str,
        typer.Argument(
            metavar="PUBLIC_KEY", help="As `chorus definitions signing-key` shows it there."
        ),
    ],
) -> None:
    """Trust another installation: what it has signed may be imported from now on; for admins.

    Example: chorus definitions trust "other desk" 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    """
    found = remote.api.post(path_of(*TRUSTED_KEYS), {"name": name, "publicKey": public_key})
    remote.printer.item(found, [f"{found['name']}: is trusted, id {found['id']}"])


@asking
def distrust(
    remote: Remote,
    key: Annotated[str, typer.Argument(metavar="NAME", help="Of a trusted key; or its id.")],
) -> None:
    """Trust a key no more; what was imported stays. For admins.

    Example: chorus definitions distrust "other desk"
    """
    found = remote.api.delete(path_of(*TRUSTED_KEYS, trusted_key_id(remote.api, key)))
    remote.printer.item(found, [f"{found['name']}: is trusted no more"])


@asking
def show_signing_key(remote: Remote) -> None:
    """Show the key by which others know what was exported here.

    Example: chorus definitions signing-key
    """
    remote.printer.facts(remote.api.get(path_of("admin", "strategy", "signing-key")))
