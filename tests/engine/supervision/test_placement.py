"""Pooled instances are spread evenly, deterministically and with as few moves as possible."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from engine.supervision.placement import pooled_hosts, spread


@st.composite
def situations(draw: st.DrawFn) -> tuple[dict[str, str | None], list[str]]:
    hosts = pooled_hosts(draw(st.integers(1, 5)))
    homes = st.sampled_from([*hosts, "pool:9", None])
    return draw(
        st.dictionaries(st.text("abcdef", min_size=1, max_size=3), homes, max_size=25)
    ), hosts


def sizes(names: dict[str, str], hosts: list[str]) -> list[int]:
    counts = Counter(names.values())
    return [counts[host] for host in hosts]


def moves(homes: dict[str, str | None], found: dict[str, str], hosts: list[str]) -> int:
    return sum(homes[name] in hosts and homes[name] != host for name, host in found.items())


def fewest_moves(homes: dict[str, str | None], hosts: list[str]) -> int:
    """Return the oracle: the best of all ways to say who gets one more than an even share."""
    counts = Counter(home for home in homes.values() if home in hosts)
    share, rest = divmod(len(homes), len(hosts))
    quotas = [share + 1] * rest + [share] * (len(hosts) - rest)
    return min(
        sum(max(0, counts[host] - quota) for host, quota in zip(hosts, order, strict=True))
        for order in set(permutations(quotas))
    )


@given(situations())
def test_every_instance_gets_a_host_and_the_answer_depends_on_nothing_else(
    situation: tuple[dict[str, str | None], list[str]],
) -> None:
    homes, hosts = situation
    found = spread(homes, hosts, uneven_by=0.5)
    assert found.keys() == homes.keys()
    assert set(found.values()) <= set(hosts)
    assert spread(dict(reversed(homes.items())), hosts, uneven_by=0.5) == found


@given(situations())
def test_hosts_never_differ_grossly(situation: tuple[dict[str, str | None], list[str]]) -> None:
    homes, hosts = situation
    counts = sizes(spread(homes, hosts, uneven_by=0.5), hosts)
    assert max(counts) - min(counts) <= max(1, 0.5 * len(homes) / len(hosts))


@given(situations())
def test_evening_out_moves_as_few_as_possible(
    situation: tuple[dict[str, str | None], list[str]],
) -> None:
    homes, hosts = situation
    found = spread(homes, hosts, uneven_by=0.0)
    counts = sizes(found, hosts)
    assert max(counts) - min(counts) <= 1
    assert moves(homes, found, hosts) == fewest_moves(homes, hosts)


@given(situations())
def test_nothing_moves_twice(situation: tuple[dict[str, str | None], list[str]]) -> None:
    homes, hosts = situation
    found = spread(homes, hosts, uneven_by=0.5)
    assert spread(dict(found), hosts, uneven_by=0.5) == found


def test_an_instance_stays_while_counts_do_not_differ_grossly() -> None:
    hosts = pooled_hosts(2)
    homes = {f"s{i}": hosts[i >= 6] for i in range(10)}
    assert spread(homes, hosts, uneven_by=0.5) == homes
    homes["s6"] = homes["s7"] = hosts[0]
    assert sizes(spread(homes, hosts, uneven_by=0.5), hosts) == [5, 5]


def test_a_new_instance_goes_where_there_are_fewest() -> None:
    homes: dict[str, str | None] = {"a": "pool:0", "b": "pool:0", "c": "pool:1", "new": None}
    assert spread(homes, pooled_hosts(2), uneven_by=0.5)["new"] == "pool:1"
