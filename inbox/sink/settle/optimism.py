"""Whether the fast path is worth a try for what comes next. No I/O."""


class Foresight:
    """Whether the next part is taken to go well, which is cheap while it does and costs a try where it does not.

    At first it is not: after a change of owner, or of the connection, events may come again. After a part that did not
    go well the next ones are taken with care; the more of them, the oftener the guess was wrong.
    """

    _MOST_PARTS = 64

    def __init__(self) -> None:
        self._careful = 1
        self._next = 1

    @property
    def is_good(self) -> bool:
        return self._careful == 0

    def was_right(self) -> None:
        self._next = max(1, self._next - 1)

    def was_wrong(self) -> None:
        """The same part is to be taken with care now."""
        self._next = min(2 * self._next, self._MOST_PARTS)
        self._careful = self._next

    def learned(self, *, well: bool) -> None:
        """How a part went that was taken with care."""
        self._careful = max(0, self._careful - 1) if well else self._next
