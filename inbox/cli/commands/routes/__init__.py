"""The commands that make and keep the tables of routes."""
