"""Compute exponential backoff with jitter."""


def backoff(failures: int, jitter: float) -> float:
    """Return the seconds to wait after this many outages in a row; `jitter` is from 0 to 1.

    The wait is at most 5 s, so that recovery is quick.
    """
    return min(5.0, 0.1 * float(2 ** min(failures - 1, 10))) * (0.5 + jitter / 2)
