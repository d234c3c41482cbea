"""The answer to a pointer that leads nowhere in a schema."""

from collections.abc import Sequence


class MissingError(Exception):
    """A step of a pointer that the schema does not have.

    `known` are the names beside it, and `left` is the number of steps from it to the end.
    """

    def __init__(self, known: Sequence[str], left: int) -> None:
        super().__init__()
        self.known = known
        self.left = left
