"""What stands between a request and the routes: who asks, how often, how much, and only once."""

from api.server.guards.configuration import Guards, Limits
from api.server.guards.doorkeeper import Doorkeeper, address_of
from api.server.guards.layers import layers_of
from api.server.guards.marks import Door, ShownOnce

__all__ = ["Door", "Doorkeeper", "Guards", "Limits", "ShownOnce", "address_of", "layers_of"]
