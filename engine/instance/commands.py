"""What an operator may tell a live instance."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Command", "Pause", "Restart", "Resume", "Stop", "Update"]


class Pause(msgspec.Struct, frozen=True, tag="pause", tag_field="kind"):
    """Stop acting; indicators, position and protective orders go on."""


class Resume(msgspec.Struct, frozen=True, tag="resume", tag_field="kind"):
    """Act again, from the next candle on."""


class Stop(msgspec.Struct, frozen=True, tag="stop", tag_field="kind"):
    """End for good. Open positions and orders are the caller's to withdraw."""


class Restart(msgspec.Struct, frozen=True, tag="restart", tag_field="kind"):
    """Come back from an error with a fresh strategy object, by way of warm-up."""


class Update(msgspec.Struct, frozen=True, tag="update", tag_field="kind"):
    """Change parameters from the next candle on; those not named keep their value."""

    parameters: dict[str, Any]


Command = Pause | Resume | Stop | Restart | Update
