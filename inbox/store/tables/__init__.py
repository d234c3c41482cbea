"""Table routes: batches of events into the user's own tables."""
