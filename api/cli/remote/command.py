"""What all commands to a service have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer
from typer.core import TyperGroup

from api.cli.remote.address import DEFAULT_URL, Address
from api.cli.remote.keyring import Key, find_key
from api.cli.remote.output import Printer

if TYPE_CHECKING:
    from api.cli.remote.client import Api

__all__ = [
    "JsonOption",
    "KeyFileOption",
    "ListingGroup",
    "Remote",
    "UrlOption",
    "asking",
]

P = ParamSpec("P")

UrlOption = Annotated[
    str,
    typer.Option("--url", metavar="URL", envvar="CHORUS_URL", help="Where the service is."),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="Sign in with the key in this file, instead of CHORUS_KEY or `chorus login`.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


class Remote:
    """What a command works with.

    Args:
        address: The service.
        key: Who asks; None: nobody.
        printer: Shows what is answered.
        api: The service's API.
    """

    def __init__(self, address: Address, key: Key | None, printer: Printer, api: Api) -> None:
        self.address = address
        self.key = key
        self.printer = printer
        self.api = api


class ListingGroup(TyperGroup):
    """A group of commands that lists when no other command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments: of `list`, unless they begin with a command."""
        is_own = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_own and not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)


def asking(function: Callable[Concatenate[Remote, P], None]) -> Callable[..., None]:
    """Make a command of a function that asks a service.

    The command has the options `--url`, `--key-file` and `--json` beside those of the function,
    which gets what they stand for as its first argument.
    """

    @functools.wraps(function)
    def command(*args: Any, url: str, key_file: Path | None, json: bool, **given: Any) -> None:
        # Commands that ask nobody, and help, need not wait for what speaks HTTP.
        from api.cli.remote.client import Api  # noqa: PLC0415 - see above

        address = Address.of(url)
        key = find_key(address, key_file)
        with Api(address, key) as api:
            function(Remote(address, key, Printer(is_json=json), api), *args, **given)

    hints = get_type_hints(function, include_extras=True)
    first, *own = inspect.signature(function).parameters.values()
    del hints[first.name]
    hints |= {"url": UrlOption, "key_file": KeyFileOption, "json": JsonOption}
    defaults = {"url": DEFAULT_URL, "key_file": None, "json": False}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        *(each.replace(annotation=hints[each.name]) for each in own),
        *(
            inspect.Parameter(name, keyword, default=default, annotation=hints[name])
            for name, default in defaults.items()
        ),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = hints
    return command
