"""The HTTP API."""

from api.server.app import create_app
from api.server.guards import Guards, Limits
from api.server.services import Services

__all__ = ["Guards", "Limits", "Services", "create_app"]
