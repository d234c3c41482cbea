"""How many records one transaction may hold, so that none takes long. No I/O."""


class BatchLimit:
    """How many records one transaction may hold, so that none takes long.

    It starts low, for nobody knows how slow a handler is, and is at `largest` within a few fast batches.
    """

    _FIRST = 500
    _SLOW_SECONDS = 10.0
    _FAST_SECONDS = 2.0

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._apart = 0
        self.records = min(self._FIRST, largest)

    def took(self, records: int, seconds: float) -> None:
        """A transaction with that many records was committed."""
        if self._apart > 0:
            self._apart -= records
        elif seconds > self._SLOW_SECONDS:
            self.records = max(1, min(self.records, records) // 2)
        elif seconds < self._FAST_SECONDS and records >= self.records:
            self.records = min(self._largest, self.records * 4)

    def at_least(self, records: int) -> None:
        """Events are compared with others, so that one alone is too few."""
        self.records = max(self.records, min(records, self._largest))

    def failed(self, records: int) -> None:
        """One with that many took too long, or got in another's way."""
        self.records = max(1, min(self.records, records) // 2)

    def one_by_one(self, records: int) -> None:
        """The next so many are each alone in their transaction."""
        self.records, self._apart = 1, records
