"""Describe a failure for its record: the texts of its error, and its cause."""
