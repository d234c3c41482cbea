"""The number of keys that a transaction retries together, made to fit a time."""


class GroupSize:
    """The keys of the next group: half of the last after one that took too long, twice as many after a quick one."""

    def __init__(self, first: int, *, fewest: int, most: int, seconds: float) -> None:
        self.keys = first
        self._fewest = fewest
        self._most = most
        self._seconds = seconds

    def adapt(self, keys: int, seconds: float) -> None:
        """Take note of how long a group of so many keys took."""
        if seconds > self._seconds:
            self.keys = max(self._fewest, keys // 2)
        elif seconds < self._seconds / 2:
            self.keys = min(self._most, 2 * self.keys)
