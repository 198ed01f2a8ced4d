"""The running service: an engine, what is deployed to it, and the API on top."""
