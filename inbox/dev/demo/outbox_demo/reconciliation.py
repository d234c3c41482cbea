"""Check that every place on the way holds exactly the orders that were placed: pure, no I/O."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """An order as a place holds it."""

    order_id: str
    pieces: int


@dataclass(frozen=True)
class HeldOrders:
    """The orders that a place holds; `foreign` counts lines that match no placed order."""

    orders: int
    lost: int
    doubled: int
    foreign: int
    pieces: int

    @property
    def exact(self) -> bool:
        return self.whole and self.doubled == 0

    @property
    def whole(self) -> bool:
        """Return whether each order is there, perhaps more than once, and no other order is."""
        return self.lost == self.foreign == 0


def held_orders(placed: Mapping[str, int], lines: Iterable[Line]) -> HeldOrders:
    """Return the placed orders that `lines` hold. `placed` maps each order to its number of pieces.

    A line with another number of pieces than its order is foreign.
    """
    counts = Counter(lines)
    mine = {line: count for line, count in counts.items() if placed.get(line.order_id) == line.pieces}
    return HeldOrders(
        orders=len(mine),
        lost=len(placed) - len(mine),
        doubled=sum(mine.values()) - len(mine),
        foreign=sum(counts.values()) - sum(mine.values()),
        pieces=sum(line.pieces * count for line, count in counts.items()),
    )
