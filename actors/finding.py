"""Hosts of one engine, found by the names their actors have in Ray's namespace of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ray

__all__ = ["end_hosts_except", "find_host"]


def find_host(name: str, namespace: str) -> Any:
    """Return the actor of a host's start; None: it is no more."""
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None


def end_hosts_except(names: Collection[str], namespace: str) -> None:
    """End every host of an engine but those of these names; its services have other names."""
    for entry in ray.util.list_named_actors(all_namespaces=True):
        name = entry["name"]
        if entry["namespace"] == namespace and "#" in name and name not in names:
            actor = find_host(name, namespace)
            if actor is not None:
                ray.kill(actor, no_restart=True)
