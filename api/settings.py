"""Settings of this machine, from environment variables; what belongs to a run is in its file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.errors import ConfigError

__all__ = ["Settings", "read_settings"]

Days = Annotated[int, Field(ge=0, le=36_500)]


class Settings(BaseSettings):
    """What the environment says; every variable is optional.

    Attributes:
        plugin_folders: ``CHORUS_PLUGIN_FOLDERS``: more folders with strategy files, separated
            like PATH.
        store: ``CHORUS_STORE``: address of the database of a service, e.g.
            ``postgresql://USER:PASSWORD@HOST/NAME``; empty: a file in its data folder.
        redis_url: ``CHORUS_REDIS_URL``: address of a Redis server that carries events to other
            processes; empty: they stay in the service.
        leader_lease_s: ``CHORUS_LEADER_LEASE_S``: after so many seconds without a word of the
            service that leads, another one on the same store does.
        hosts: ``CHORUS_HOSTS``: further names a service is asked for by, separated by commas;
            without them it answers only to names of this machine.
        origins: ``CHORUS_ORIGINS``: pages of other origins that may use its API, likewise.
        metrics_open: ``CHORUS_METRICS_OPEN=1``: programs of this machine read ``/metrics`` without
            a key.
        metrics_strategies: ``CHORUS_METRICS_STRATEGIES``: how many strategies have metrics of their
            own.
        keep_audit_days: ``CHORUS_KEEP_AUDIT_DAYS``: how long a service keeps its audit log; 0: for
            good.
        keep_alert_days: ``CHORUS_KEEP_ALERT_DAYS``: likewise alerts, once they are acknowledged.
        keep_code_days: ``CHORUS_KEEP_CODE_DAYS``: likewise code of strategies nothing needs any
            more.
        log_level: ``CHORUS_LOG_LEVEL``: what is logged to standard error.
        log_format: ``CHORUS_LOG_FORMAT``: ``console`` for people, ``json`` for an object per line.
        debug: ``CHORUS_DEBUG=1``: show the traceback of an unexpected error.
    """

    model_config = SettingsConfigDict(env_prefix="CHORUS_", frozen=True, env_ignore_empty=True)

    plugin_folders: Annotated[tuple[Path, ...], NoDecode] = ()
    store: str = ""
    redis_url: str = ""
    leader_lease_s: Annotated[float, Field(ge=1.0, le=300.0)] = 10.0
    hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    origins: Annotated[frozenset[str], NoDecode] = frozenset()
    metrics_open: bool = False
    metrics_strategies: Annotated[int, Field(ge=0, le=100_000)] = 200
    keep_audit_days: Days = 365
    keep_alert_days: Days = 90
    keep_code_days: Days = 30
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    log_format: Literal["console", "json"] = "console"
    debug: bool = False

    @field_validator("plugin_folders", mode="before")
    @classmethod
    def _split_like_path(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part for part in value.split(os.pathsep) if part)
        return value

    @field_validator("hosts", "origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return frozenset(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


def read_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigError: A variable has a value that is not allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"environment variable CHORUS_{str(e['loc'][0]).upper()}: "
            f"{e['msg'].replace('Input should be', 'must be')} (found {e['input']!r})"
            for e in error.errors(include_url=False)
        ]
        raise ConfigError("\n".join(lines)) from None
