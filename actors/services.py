"""Calls to actors: one error type, and patience with a service that is being started again."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from engine.errors import ChorusError

__all__ = ["CONTROL_TIMEOUT_S", "ServiceAwayError", "call", "call_service", "failure_text"]

CONTROL_TIMEOUT_S = 15.0

_AWAY_TIMEOUT_S = 30.0
_RETRY_EVERY_S = 0.05


class ServiceAwayError(ChorusError):
    """The actor does not answer: its process is gone or too busy, for good or for a while."""


def call(ref: Any, timeout_s: float = CONTROL_TIMEOUT_S) -> Any:
    """Wait for an actor's answer.

    Raises:
        ServiceAwayError: The actor's process is gone, or did not answer in time.
        ChorusError: The actor raised it.
    """
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ChorusError):
            raise cause from error
        if isinstance(cause, TimeoutError):
            raise ChorusError(str(cause) or "no answer in time") from error
        raise ChorusError(failure_text(error)) from error
    except RayActorError as error:
        raise ServiceAwayError(failure_text(error)) from error
    except GetTimeoutError as error:
        raise ServiceAwayError(f"no answer within {timeout_s:g} s") from error


def failure_text(error: Exception) -> str:
    """Return one line that says why an actor failed."""
    if isinstance(error, RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}"
    if isinstance(error, RayActorError):
        if error.actor_init_failed:
            return str(error).strip().rpartition("\n")[2]
        return "its process ended by itself: killed, out of memory, a crash, or an exit call"
    return f"{type(error).__name__}: {error}"


def call_service(method: Any, *arguments: Any, timeout_s: float = CONTROL_TIMEOUT_S) -> Any:
    """Call a service; while its process is being started again, wait for it.

    Only for calls that may be made twice: whether the first one was carried out is not known.

    Args:
        method: Remote method of the service's handle.
        arguments: Its arguments.
        timeout_s: For one attempt.

    Raises:
        ChorusError: It raised it, did not answer in time, or stayed away for half a minute.
    """
    deadline = time.monotonic() + _AWAY_TIMEOUT_S
    while True:
        try:
            return call(method.remote(*arguments), timeout_s)
        except ServiceAwayError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_EVERY_S)
