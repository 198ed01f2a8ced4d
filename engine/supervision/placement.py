"""Which host an instance belongs in.

A dedicated host is named as its strategy, a pooled one ``pool:<number>``; a strategy id holds no
colon, so the two cannot meet.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

__all__ = ["pooled_hosts", "spread"]


def pooled_hosts(count: int) -> list[str]:
    """Return the names of the pooled hosts.

    >>> pooled_hosts(2)
    ['pool:0', 'pool:1']
    """
    return [f"pool:{number}" for number in range(count)]


def spread(
    homes: Mapping[str, str | None], hosts: list[str], *, uneven_by: float
) -> dict[str, str]:
    """Assign every instance to a host: the same answer for the same input, few moves.

    An instance stays in its home. One without a home goes where there are fewest. Only where the
    fullest and the emptiest host differ by more than one instance and by more than `uneven_by`
    even shares, as few as possible are moved such that hosts differ by one at most.

    Args:
        homes: Instance to the host it is in now; None, or a host not in `hosts`, for no home.
        hosts: At least one, the preferred first among equally full ones.
        uneven_by: Part of an even share, at least 0.

    Returns:
        Instance to host.

    >>> spread({"a": "x", "b": None, "c": None}, ["x", "y"], uneven_by=0.5)
    {'a': 'x', 'c': 'x', 'b': 'y'}
    """
    members: dict[str, list[str]] = {host: [] for host in hosts}
    homeless: list[str] = []
    for name in sorted(homes):
        members.get(homes[name] or "", homeless).append(name)
    levels = [(len(members[host]), place, host) for place, host in enumerate(hosts)]
    heapq.heapify(levels)
    for name in homeless:
        count, place, host = levels[0]
        members[host].append(name)
        heapq.heapreplace(levels, (count + 1, place, host))
    counts = [len(names) for names in members.values()]
    if max(counts) - min(counts) > max(1.0, uneven_by * len(homes) / len(hosts)):
        _even_out(members)
    return {name: host for host, names in members.items() for name in names}


def _even_out(members: dict[str, list[str]]) -> None:
    """Move as few as possible until hosts differ by one at most.

    Whoever ends up with one more is chosen among the fullest: each of them keeps one more member.
    """
    total = sum(map(len, members.values()))
    share, rest = divmod(total, len(members))
    surplus: list[str] = []
    missing: list[tuple[str, int]] = []
    fullest_first = sorted(members, key=lambda host: -len(members[host]))
    for place, host in enumerate(fullest_first):
        quota = share + (place < rest)
        surplus += members[host][quota:]
        del members[host][quota:]
        missing.append((host, quota - len(members[host])))
    for host, count in missing:
        members[host] += surplus[:count]
        del surplus[:count]
