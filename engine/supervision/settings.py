"""The limits supervision works with."""

from __future__ import annotations

import msgspec

from engine.errors import ConfigError

__all__ = ["SupervisionSettings"]


class SupervisionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a host counts as failed, and how fast it comes back. All times in seconds.

    Attributes:
        block_after_s: Longest standstill of a host that has slices to answer.
        ping_within_s: Longest silence of a running host.
        start_within_s: Longest time from a host's start until it runs.
        healthy_after_s: Progress for this long makes strikes and backoff forgotten.
        max_strikes: The strike that sets a strategy aside.
        backoff_base_s: Upper bound of the delay before the second restart.
        backoff_factor: Growth of that bound from one restart to the next.
        backoff_cap_s: Largest bound.
        memory_limit_bytes: What a dedicated host may use; None for no limit.
        uneven_by: Pooled hosts may differ by this part of an even share, and always by one
            instance, before instances are moved.

    Raises:
        ConfigError: A value is out of range.
    """

    block_after_s: float = 5.0
    ping_within_s: float = 10.0
    start_within_s: float = 60.0
    healthy_after_s: float = 60.0
    max_strikes: int = 3
    backoff_base_s: float = 0.1
    backoff_factor: float = 2.0
    backoff_cap_s: float = 30.0
    memory_limit_bytes: int | None = None
    uneven_by: float = 0.5

    def __post_init__(self) -> None:
        for name in ("block_after_s", "ping_within_s", "start_within_s", "healthy_after_s"):
            self._require(name, above=0)
        self._require("max_strikes", least=1)
        self._require("backoff_base_s", above=0)
        self._require("backoff_factor", least=1)
        self._require("backoff_cap_s", least=self.backoff_base_s)
        self._require("uneven_by", least=0)
        if self.memory_limit_bytes is not None:
            self._require("memory_limit_bytes", above=0)

    def _require(
        self, name: str, *, above: float | None = None, least: float | None = None
    ) -> None:
        value: float = getattr(self, name)
        if above is not None and not value > above:
            raise ConfigError(f"supervision.{name}: must be above {above:g}, is {value:g}")
        if least is not None and not value >= least:
            raise ConfigError(f"supervision.{name}: must be at least {least:g}, is {value:g}")
