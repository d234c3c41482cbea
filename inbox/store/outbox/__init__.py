"""The outbox: publishing into it, and what a relay reads and marks."""
