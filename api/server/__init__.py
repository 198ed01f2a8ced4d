"""The HTTP API."""

from api.server.app import create_app
from api.server.services import Services

__all__ = ["Services", "create_app"]
