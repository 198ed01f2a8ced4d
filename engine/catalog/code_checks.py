"""What a strategy file may not do, found in its syntax tree without running it.

This is no sandbox: Python has too many ways around it. It finds what an honest author does by
mistake, files, processes, sockets and code out of text, before it is done with somebody's account.
What protects one strategy from another is the process it runs in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import msgspec

__all__ = ["FORBIDDEN_CALLS", "FORBIDDEN_MODULES", "CodeProblem", "check_code"]

FORBIDDEN_MODULES: Final = {
    **dict.fromkeys(
        ("os", "posix", "nt", "pathlib", "shutil", "glob", "tempfile", "fileinput", "io", "mmap"),
        "files",
    ),
    **dict.fromkeys(
        ("subprocess", "multiprocessing", "concurrent", "threading", "_thread", "pty", "signal"),
        "processes and threads",
    ),
    **dict.fromkeys(
        (
            "socket", "socketserver", "ssl", "select", "selectors", "asyncio", "http", "urllib",
            "ftplib", "smtplib", "imaplib", "poplib", "telnetlib", "xmlrpc", "webbrowser",
            "requests", "httpx", "aiohttp", "websockets",
        ),
        "the network",
    ),
    **dict.fromkeys(
        ("importlib", "runpy", "code", "codeop", "pkgutil", "zipimport", "builtins", "imp"),
        "code out of text",
    ),
    **dict.fromkeys(("pickle", "marshal", "shelve", "dill", "cloudpickle"), "code out of data"),
    **dict.fromkeys(("ctypes", "cffi", "gc", "inspect", "sys", "resource"), "the process itself"),
    **dict.fromkeys(("sqlite3", "dbm", "sqlalchemy", "redis", "psycopg"), "databases"),
    **dict.fromkeys(("ray", "zmq", "actors", "api"), "the engine's own processes"),
}  # fmt: skip
"""Modules a strategy has no business with, and what they open."""

FORBIDDEN_CALLS: Final = {
    "eval": "code out of text",
    "exec": "code out of text",
    "compile": "code out of text",
    "__import__": "code out of text",
    "open": "files",
    "input": "the terminal",
    "breakpoint": "the terminal",
    "globals": "the process itself",
}
"""Built-in functions likewise."""

_INNARDS: Final = frozenset(
    [
        "__builtins__",
        "__subclasses__",
        "__globals__",
        "__code__",
        "__closure__",
        "__bases__",
        "__mro__",
        "__import__",
        "__loader__",
        "__spec__",
        "__reduce__",
        "__reduce_ex__",
    ]
)

_REMEDY: Final = (
    "a strategy decides on what its services give it; take this out, or bring the data in as a "
    "candle file or a parameter"
)


class CodeProblem(msgspec.Struct, frozen=True, order=True):
    """One thing a file may not do.

    Attributes:
        line: Where, from 1.
        column: From 1.
        message: What, and what to do instead.
    """

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}"


def check_code(source: str | bytes) -> list[CodeProblem]:
    """Return what a strategy file may not do, in the order of its lines.

    Args:
        source: The file; runs nothing of it.

    Raises:
        SyntaxError: It is no Python, or nested too deeply to be read.

    >>> [str(problem).partition(";")[0] for problem in check_code("import os")]
    ["1:1: imports 'os' (files)"]
    >>> check_code("import math")
    []
    """
    try:
        tree = ast.parse(source)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"cannot be read as Python: {error}") from error
    return sorted(
        CodeProblem(node.lineno, node.col_offset + 1, f"{text}; {_REMEDY}")
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt | ast.expr)
        for text in _problems_of(node)
    )


def _problems_of(node: ast.stmt | ast.expr) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            for name in names:
                yield from _of_module(name.name)
        case ast.ImportFrom(module=str(module), level=0):
            yield from _of_module(module)
        case ast.Name(id=name, ctx=ast.Load()) if name in FORBIDDEN_CALLS:
            # Not only where it is called: `run = eval` is the same with one line more.
            yield f"uses {name!r} ({FORBIDDEN_CALLS[name]})"
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in _INNARDS:
            yield f"reaches for {name!r} (the innards of Python)"
        case ast.Constant(value=str(name)) if name in _INNARDS:
            yield f"names {name!r} (the innards of Python)"


def _of_module(name: str) -> Iterator[str]:
    root = name.partition(".")[0]
    if root in FORBIDDEN_MODULES:
        yield f"imports {name!r} ({FORBIDDEN_MODULES[root]})"
