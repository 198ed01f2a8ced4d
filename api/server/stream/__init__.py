"""What happens, sent to clients while it happens."""

from api.server.stream.hub import Hub
from api.server.stream.limits import StreamLimits
from api.server.stream.server_sent import EventStream, Wanted
from api.server.stream.websocket import serve_websocket

__all__ = ["EventStream", "Hub", "StreamLimits", "Wanted", "serve_websocket"]
