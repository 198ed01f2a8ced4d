"""The HTTP API."""

from api.server.app import create_app
from api.server.guards import Guards, Limits
from api.server.metrics import Exposition
from api.server.services import Services

__all__ = ["Exposition", "Guards", "Limits", "Services", "create_app"]
