"""`chorus users` and `chorus keys`: who may ask, and with what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import user_id
from api.cli.remote.output import Field, moment_of
from api.cli.remote.sign_in import secret
from api.cli.remote.strategies import LimitOption

__all__ = [
    "add_user",
    "change_role",
    "create_key",
    "disable_user",
    "enable_user",
    "list_keys",
    "list_users",
    "revoke_key",
    "set_password",
]

Role = Literal["admin", "trader", "viewer"]
Item = dict[str, Any]

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="Name, or id, of a user.")]
RoleOption = Annotated[Role, typer.Option("--role", help="What it may do.")]

_USERS = (
    Field("name", lambda item: item["name"]),
    Field("role", lambda item: item["role"]),
    Field("state", lambda item: "disabled" if item["isDisabled"] else "enabled"),
    Field("signs in by", lambda item: "password, key" if item["hasPassword"] else "key", rank=1),
    Field("created", lambda item: moment_of(item["created"]), rank=2),
    Field("id", lambda item: item["id"], rank=3),
)
_KEYS = (
    Field("id", lambda item: item["id"]),
    Field("name", lambda item: item["name"]),
    Field("created", lambda item: moment_of(item["created"]), rank=3),
    Field("used", lambda item: moment_of(item["used"]) or "never", rank=1),
    Field("expires", lambda item: moment_of(item["expires"]) or "never", rank=2),
    Field("revoked", lambda item: moment_of(item["revoked"])),
)


@asking
def list_users(remote: Remote, *, limit: LimitOption = 0) -> None:
    """List the users: all for admins, yourself otherwise.

    Example: chorus users
    """
    found = remote.api.items(path_of("users"), limit)
    remote.printer.items("users", _USERS, found.items, found.next)


@asking
def add_user(
    remote: Remote,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new user.")],
    *,
    role: RoleOption,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password; else it signs in by key only.")
    ] = False,
) -> None:
    """Make a user.

    Example: chorus users add ann --role trader
    """
    body: Item = {"name": name, "role": role}
    if password:
        body["password"] = secret("password", is_new=True)
    found = remote.api.post(path_of("users"), body)
    line = f"{found['name']}: added as {found['role']}"
    remote.printer.item(found, [f"{line}; `chorus keys create NAME --user {name}` makes a key"])


@asking
def change_role(remote: Remote, user: UserArgument, *, role: RoleOption) -> None:
    """Change what a user may do, at once, also by the keys it has.

    Example: chorus users role ann --role viewer
    """
    found = remote.api.put(path_of("users", user_id(remote.api, user), "role"), {"role": role})
    remote.printer.item(found, [f"{found['name']}: is {found['role']} now"])


@asking
def disable_user(remote: Remote, user: UserArgument) -> None:
    """Let a user in no more: password, keys and tokens, at once.

    Example: chorus users disable ann
    """
    _turn_user(remote, user, "disable")


@asking
def enable_user(remote: Remote, user: UserArgument) -> None:
    """Let a user in again.

    Example: chorus users enable ann
    """
    _turn_user(remote, user, "enable")


def _turn_user(remote: Remote, user: str, what: str) -> None:
    found = remote.api.post(path_of("users", user_id(remote.api, user), what))
    remote.printer.item(found, [f"{found['name']}: {what}d"])


@asking
def set_password(
    remote: Remote,
    user: Annotated[
        str | None, typer.Argument(metavar="USER", help="Whose, for admins; none: your own.")
    ] = None,
) -> None:
    """Change a password; it is asked for, or read from standard input.

    Your own takes the present one first, on a line before it; an empty line if there is none yet.

    Example: chorus users password ann
    """
    if user is None:
        present = secret("present password", may_be_empty=True) or None
        body = {"present": present, "password": secret("new password", is_new=True)}
        found = remote.api.put(path_of("users", "me", "password"), body)
    else:
        path = path_of("users", user_id(remote.api, user), "password")
        found = remote.api.put(path, {"password": secret("new password", is_new=True)})
    remote.printer.item(found, [f"{found['name']}: password changed"])


@asking
def list_keys(
    remote: Remote,
    *,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Whose, for admins; else your own.")
    ] = None,
    limit: LimitOption = 0,
) -> None:
    """List keys, without their secret part, also those that are over.

    Example: chorus keys --user ann
    """
    whose = None if user is None else user_id(remote.api, user)
    found = remote.api.items(path_of("keys"), limit, userId=whose)
    remote.printer.items("keys", _KEYS, found.items, found.next)


@asking
def create_key(
    remote: Remote,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What for, e.g. laptop.")],
    *,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="For whom; else for yourself.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="MOMENT", help="E.g. 2030-01-01T00:00:00Z; else never."),
    ] = None,
) -> None:
    """Make a key. It is shown this once: alone on standard output, so that it can be piped.

    Example: chorus keys create laptop --expires 2030-01-01T00:00:00Z
    """
    body: Item = {"name": name, "expires": expires}
    if user is not None:
        body["userId"] = user_id(remote.api, user)
    found = remote.api.post(path_of("keys"), body)
    remote.printer.item(found, [found["key"]])
    remote.printer.notice("it is shown this once; whoever has it may do what its user may")


@asking
def revoke_key(
    remote: Remote,
    key: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `chorus keys` shows it.")],
) -> None:
    """Take a key back for good.

    Example: chorus keys revoke 3f9a6c1e
    """
    found = remote.api.delete(path_of("keys", key))
    remote.printer.item(found, [f"key {found['id']} ({found['name']}): revoked"])
