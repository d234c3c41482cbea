"""The command `inbox`: each command parses, calls a function that returns a value, and prints it."""

from inbox.cli.program import main

__all__ = ["main"]
