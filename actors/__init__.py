"""Ray and ZeroMQ: the actors and the client that speaks to them."""
