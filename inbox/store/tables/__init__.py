"""The table routes, which write batches of events into the user's own tables."""
