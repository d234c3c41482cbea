"""Decide what is at fault for a failure: the event, or the database."""
