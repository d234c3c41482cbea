"""The outbox: how events are published into it, and what a relay reads and marks."""
