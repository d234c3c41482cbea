"""`inbox demo`: the same traffic and the same crashes for four delivery guarantees."""

from inbox.dev.demo.story import run_demo

__all__ = ["run_demo"]
