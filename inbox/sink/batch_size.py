"""Limit how many records one transaction may hold, so that none takes long. No I/O."""


class BatchLimit:
    """The number of records that one transaction may hold, so that none takes long.

    It begins low, because the speed of a handler is unknown, and reaches `largest` within a few
    fast batches.
    """

    _FIRST = 500
    _SLOW_SECONDS = 10.0
    _FAST_SECONDS = 2.0

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._apart = 0
        self.records = min(self._FIRST, largest)

    def took(self, records: int, seconds: float) -> None:
        """Record that a transaction with this many records was committed."""
        if self._apart > 0:
            self._apart -= records
        elif seconds > self._SLOW_SECONDS:
            self.records = max(1, min(self.records, records) // 2)
        elif seconds < self._FAST_SECONDS and records >= self.records:
            self.records = min(self._largest, self.records * 4)

    def at_least(self, records: int) -> None:
        """Raise the limit to this many records: events are compared with others, and one alone is too few."""
        self.records = max(self.records, min(records, self._largest))

    def failed(self, records: int) -> None:
        """Record that a transaction with this many records took too long or deadlocked; halve the limit."""
        self.records = max(1, min(self.records, records) // 2)

    def one_by_one(self, records: int) -> None:
        """Let each of the next `records` records have a transaction of its own."""
        self.records, self._apart = 1, records
