"""How much of the stream one client, one user and all together may have."""

from __future__ import annotations

import msgspec

__all__ = ["StreamLimits"]


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds the event stream; the defaults suit a server with some hundred clients.

    Attributes:
        heartbeat_s: When nothing else was sent for so long, there is a heartbeat.
        hello_within_s: How long a WebSocket may take to say who it is.
        recheck_s: How often it is asked whether whoever signed in is still let in.
        send_within_s: A client that takes nothing at all for so long is given up.
        away_s: A client that asks for what it missed waits so long for a log that is away.
        longest_s: A response of server-sent events ends after this time; its client goes on with
            the next one.
        gather_s: How long events wait for others before their clients' tasks are woken.
        queue: Events that wait for one client, see `engine.events.Subscriber`.
        topics: Followed by one client.
        strategies: Chosen by one client.
        message_bytes: Of one message of a client.
        connections: Of all users.
        connections_per_user: Of one user.
        origins: Other origins whose pages may open a WebSocket, like ``https://example.org``.
    """

    heartbeat_s: float = 15.0
    hello_within_s: float = 5.0
    recheck_s: float = 30.0
    send_within_s: float = 30.0
    away_s: float = 10.0
    longest_s: float = 3600.0
    gather_s: float = 0.02
    queue: int = 1000
    topics: int = 200
    strategies: int = 1000
    message_bytes: int = 64 * 1024
    connections: int = 2000
    connections_per_user: int = 500
    origins: frozenset[str] = frozenset()
