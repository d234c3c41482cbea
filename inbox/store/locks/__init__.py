"""Locks of a schema: one migration at a time, one prune at a time, and who holds them."""
