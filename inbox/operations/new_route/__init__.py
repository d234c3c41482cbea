"""Propose a table and a route for a topic: `inbox new route`."""
