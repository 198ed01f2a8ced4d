"""Asks a service over HTTP."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import msgspec

from api.cli.remote.address import Address
from api.cli.remote.errors import AwayError, UnknownAnswerError, refusal
from api.cli.remote.keyring import Key
from engine.errors import ConfigError

__all__ = ["ALL", "Api", "Items"]

ALL: Final = 0
"""As a limit: without one."""

_PAGE: Final = 500
_TRIES: Final = 4
_PAUSE_S: Final = 0.25
_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)
_PASSING: Final = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
"""What may be over in a moment."""

Parameter = str | int | bool | None


class Items(msgspec.Struct, frozen=True):
    """A list, or its beginning.

    Attributes:
        items: As the API shows them.
        next: Where it goes on; None: this is all.
    """

    items: list[dict[str, Any]]
    next: str | None = None


class Api:
    """The API of a service. Use as context manager.

    Requests that may be sent twice are: reading, and POST, which carries a key by which the service
    does it once. Redirects are not followed: a key goes where it was meant to go.

    Args:
        address: Where it is.
        key: Who asks; None: nobody.
        pause: Waits before another try; takes seconds.
    """

    def __init__(
        self,
        address: Address,
        key: Key | None,
        *,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.address = address
        self._pause = pause
        agent = {"User-Agent": f"chorus/{version('chorus')}"}
        self._http = httpx2.Client(
            headers={**agent, **(key.headers if key else {})},
            timeout=_TIMEOUT,
            follow_redirects=False,
            # Neither a proxy nor a certificate of the environment is for this machine.
            trust_env=not address.is_loopback,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **parameters: Parameter) -> Any:
        """Read something; parameters that are None are left out.

        Raises:
            RefusedError: The service refuses it.
            AwayError: There is no service.
            UnknownAnswerError: It fails, or is none.
        """
        return self._ask("GET", path, parameters)

    def post(self, path: str, body: Any = None, **parameters: Parameter) -> Any:
        """Let something be done, once; errors as `get`."""
        return self._ask("POST", path, parameters, body, {"Idempotency-Key": str(uuid.uuid4())})

    def put(self, path: str, body: Any = None) -> Any:
        """Replace something; errors as `get`."""
        return self._ask("PUT", path, {}, body)

    def patch(self, path: str, body: Any) -> Any:
        """Change part of something; errors as `get`."""
        return self._ask("PATCH", path, {}, body)

    def delete(self, path: str, **parameters: Parameter) -> Any:
        """Take something away; errors as `get`."""
        return self._ask("DELETE", path, parameters)

    def items(self, path: str, limit: int = ALL, **parameters: Parameter) -> Items:
        """Read a list, page by page.

        Args:
            path: Of the list.
            limit: Items at most.
            parameters: Of every page.

        Raises:
            RefusedError: The service refuses it.
            AwayError: There is no service.
            UnknownAnswerError: It fails, or is none.
        """
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            size = _PAGE if limit == ALL else min(_PAGE, limit - len(found))
            page = self.get(path, **{**parameters, "limit": size, "after": after})
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise self._strange()
            found += page["items"]
            after = page.get("next")
            if after is None or (limit != ALL and len(found) >= limit):
                return Items(found, after)

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Parameter],
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        request = self._http.build_request(
            method,
            self.address.api + path,
            params={name: value for name, value in parameters.items() if value is not None},
            json=body,
            headers=dict(headers or {}),
        )
        response = self._sent(request, tries=_TRIES if method in {"GET", "POST"} else 1)
        if not response.is_success:
            raise refusal(
                response.status_code, response.content, self.address.url, response.headers
            )
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError:
            raise self._strange() from None

    def _sent(self, request: httpx2.Request, *, tries: int) -> httpx2.Response:
        """Send a request, again if nobody knows what became of it."""
        for left in reversed(range(tries)):
            try:
                response = self._http.send(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                raise self._away(error) from None
            except httpx2.TransportError as error:
                if not left:
                    raise AwayError(
                        f"{self.address.url}: the connection broke ({_said(error)}); whether it "
                        "was done, `chorus ps` tells"
                    ) from None
            except (httpx2.InvalidURL, UnicodeError) as error:
                raise ConfigError(f"--url, or CHORUS_URL: {error}") from None
            else:
                if response.status_code not in _PASSING or not left:
                    return response
            self._pause(_PAUSE_S * 2 ** (tries - 1 - left))
        raise AssertionError("the last try returns or raises")

    def _away(self, error: Exception) -> AwayError:
        remedy = (
            "start one with `chorus up CONFIG`, or give another address with --url or CHORUS_URL"
            if self.address.is_loopback
            else "look at --url, or CHORUS_URL, and whether it runs there (`chorus up CONFIG`)"
        )
        return AwayError(f"{self.address.url}: no service there ({_said(error)}); {remedy}")

    def _strange(self) -> UnknownAnswerError:
        return UnknownAnswerError(
            f"{self.address.url}: what answers does not speak as a Chorus of this version does; "
            "look at --url, or at CHORUS_URL"
        )


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
