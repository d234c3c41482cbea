"""1, 2 and 4 workers over 12 partitions that join, leave and are killed at random: `python -m tests.scale`."""
