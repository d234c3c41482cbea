"""The commands that show, resolve and repair dead letters."""
