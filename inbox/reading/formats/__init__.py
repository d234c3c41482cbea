"""Decode the bytes of a key or a value, by the format of the route."""
