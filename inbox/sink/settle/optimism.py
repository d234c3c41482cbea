"""Decide whether the fast path is worth trying for the next events. No I/O."""


class Optimism:
    """A guess whether the next part will go well. A right guess is cheap; a wrong one costs one extra attempt.

    It begins as "no": after a change of owner or connection, events may come again. After a wrong
    guess the next parts take the slow path, up to 64 of them. Their number doubles with each wrong
    guess and falls with each right one.
    """

    _MOST_PARTS = 64

    def __init__(self) -> None:
        self._careful = 1
        self._next = 1

    @property
    def expects_success(self) -> bool:
        """Return whether the next part is worth the fast path."""
        return self._careful == 0

    def succeeded(self) -> None:
        """Record a right guess."""
        self._next = max(1, self._next - 1)

    def failed(self) -> None:
        """Record a wrong guess. The same part now takes the slow path."""
        self._next = min(2 * self._next, self._MOST_PARTS)
        self._careful = self._next

    def observed(self, *, success: bool) -> None:
        """Record whether a part succeeded on the slow path."""
        self._careful = max(0, self._careful - 1) if success else self._next
