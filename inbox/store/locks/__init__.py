"""The locks of a schema: one migration at a time, one prune at a time, and the holders of both."""
