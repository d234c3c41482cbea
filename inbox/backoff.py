"""Exponential backoff with jitter."""


def backoff(failures: int, jitter: float) -> float:
    """Seconds to wait after that many outages in a row; `jitter` from 0 to 1. At most 5 s, so recovery is quick."""
    return min(5.0, 0.1 * float(2 ** min(failures - 1, 10))) * (0.5 + jitter / 2)
