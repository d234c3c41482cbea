"""Unit tests need no servers and end in seconds."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60, stateful_step_count=40)
settings.load_profile("unit")
