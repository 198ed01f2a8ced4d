"""Settings that are changed while Chorus runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from api.server.listing import After, Form, IfMatch, Limit, Listing, Moment, View, moment
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered

__all__ = ["router"]

router = APIRouter(prefix="/settings", tags=["settings"])


class NewSetting(Form):
    """What a setting is to be."""

    value: Any = Field(description="Any JSON of at most 64 KiB, and no secret: it is on record")


class SettingShown(View):
    """A setting."""

    key: str
    value: Any
    updated: Moment = moment("updated")
    updated_by: str | None
    version: int


@router.get("", responses=responses(HTTPStatus.FORBIDDEN))
def list_settings(
    services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Listing[SettingShown]:
    """Return the settings, by name; for admins."""
    page = services.settings.page(caller, after=after, limit=limit)
    return Listing(items=[SettingShown.of(row) for row in page.items], next=page.next)


@router.get("/{key}", responses=responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND))
def get_setting(key: str, services: Offered, caller: Asker, response: Response) -> SettingShown:
    """Return a setting; for admins."""
    return SettingShown.of(services.settings.get(key, caller), response)


@router.put("/{key}", responses=CHANGED)
def put_setting(
    key: str,
    body: NewSetting,
    services: Offered,
    caller: Asker,
    version: IfMatch,
    response: Response,
) -> SettingShown:
    """Make a setting, or change it; for admins."""
    return SettingShown.of(
        services.settings.put(key, body.value, caller, if_version=version), response
    )
