"""Columns made in the client from decoded rows, whose values have the types of a schema."""
