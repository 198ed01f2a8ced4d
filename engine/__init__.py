"""The pure domain: no actors, no sockets, no clocks."""
