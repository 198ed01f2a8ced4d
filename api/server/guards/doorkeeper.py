"""Who is let in, and how often somebody may try."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from fastapi import WebSocket
from fastapi.concurrency import run_in_threadpool

from api.server.credentials import Credential
from api.server.guard_errors import TooManyError
from api.server.guards.configuration import Limits
from api.server.guards.lane import Lane
from api.server.guards.rates import Bucket, Rates, Standing
from engine.access import Caller
from engine.errors import ForbiddenError
from engine.users import AuthenticationError, Users

__all__ = ["Doorkeeper", "address_of"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_NETWORK: Final = 64
"""Bits of an IPv6 address that belong to one customer: the others are free to choose."""


class Doorkeeper:
    """Lets users in, and makes whoever tries passwords and keys wait.

    Failures are counted per address and per name. A name that is tried by somebody else cannot
    sign in by password for that long, but by its keys. Wrong keys are counted per key and address:
    of all who share an address only the one with the wrong key has to wait.

    Args:
        rates: Counts.
        limits: How often.
    """

    def __init__(self, rates: Rates, limits: Limits) -> None:
        self._rates = rates
        self._limits = limits
        self._lane = Lane(limits.passwords_at_once, limits.passwords_waiting)

    async def admit(self, credential: Credential, users: Users, address: str) -> Caller:
        """Return whose key or token this is.

        Raises:
            AuthenticationError: Nobody's, or it is not accepted any more.
            TooManyError: There were too many wrong ones of this key.
            StoreError: The store is away.
        """
        caller = await run_in_threadpool(credential.recall, users)
        if caller is not None:
            return caller
        limit = self._limits.failures_per_name
        bucket = Bucket.of(limit, "key", credential.public_id, address)
        return await self._attempt(lambda: credential.caller(users), bucket)

    async def admit_socket(self, socket: WebSocket, credential: Credential) -> Caller:
        """Return who opens a WebSocket; errors as `admit`."""
        users: Users = socket.app.state.services.users
        return await self.admit(credential, users, address_of(socket.scope))

    async def sign_in(self, name: str, password: str, users: Users, address: str) -> Caller:
        """Return who signs in by password; errors as `admit`."""
        return await self._attempt(
            lambda: users.authenticate(name, password),
            Bucket.of(self._limits.failures_per_address, "sign-in", address),
            Bucket.of(self._limits.failures_per_name, "name", name.lower()),
        )

    async def confirm(self, work: Callable[[], T], caller: Caller) -> T:
        """Do something for which a user says its password again.

        Raises:
            TooManyError: It was wrong too often.
        """
        whose = str(caller.user_id)
        return await self._attempt(
            work, Bucket.of(self._limits.failures_per_name, "password", whose)
        )

    async def hash(self, work: Callable[[], T]) -> T:
        """Do something that hashes a password or a key.

        Raises:
            TooManyError: Too many wait for that.
        """
        return await self._lane.run(work)

    def count(self, caller: Caller | None, credential: Credential | None, address: str) -> Standing:
        """Count a request; returns how whoever sends it stands, by the narrowest rate."""
        limits = self._limits
        if caller is None:
            # Apart: a bot with an old key shall not keep people at its address from signing in.
            kind = "nobody" if credential is None else "refused"
            buckets = [Bucket.of(limits.per_address, kind, address)]
        else:
            buckets = [Bucket.of(limits.per_user, "user", str(caller.user_id))]
            if credential is not None and credential.public_id:
                buckets.append(Bucket.of(limits.per_key, "requests", credential.public_id))
        standings = [self._rates.hit(bucket) for bucket in buckets]
        return min(standings, key=lambda each: (each.is_allowed, each.remaining))

    async def _attempt(self, work: Callable[[], T], *buckets: Bucket) -> T:
        def tried() -> T:
            for bucket in buckets:
                standing = self._rates.test(bucket)
                if not standing.is_allowed:
                    raise TooManyError(
                        f"{bucket.what[0]}: was wrong too often", max(1, standing.reset_s)
                    )
            try:
                return work()
            except (AuthenticationError, ForbiddenError):
                for bucket in buckets:
                    self._rates.hit(bucket)
                # Neither name nor key: people type passwords where names belong.
                _log.warning("a wrong %s was given", " or ".join(b.what[0] for b in buckets))
                raise

        return await self._lane.run(tried)


def address_of(scope: Mapping[str, Any]) -> str:
    """Return where a request comes from: an IPv4 address, or the network of an IPv6 one.

    >>> address_of({"client": ("10.0.0.7", 5000)}), address_of({"client": ("2001:db8::1:2", 1)})
    ('10.0.0.7', '2001:db8::/64')
    """
    host = (scope.get("client") or ("local", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)  # a Unix socket, or a test
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _NETWORK), strict=False))
