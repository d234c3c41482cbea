"""Compares the ledger with its own history, which is all that can be said without reading the log.

Every batch writes both in one transaction, and a resume notes in the history what it passes over. So each offset from
the first to the furthest that was settled is in exactly one row of `progress`, and the counts are the ledger's, unless
somebody changed either by hand. Claims and dead letters are not looked at.
"""

from collections.abc import Sequence
from typing import NamedTuple

from inbox.events import Ending, Settlement, TopicPartition


class Tile(NamedTuple):
    """A row of `progress`: the offsets from `from_offset` up to, not including, `until_offset`."""

    from_offset: int
    until_offset: int
    settlement: Settlement


class History(NamedTuple):
    """A partition as the ledger has it, begun at `start_offset` and settled up to `reached_offset` at its furthest,
    and its tiles in order."""

    address: TopicPartition
    start_offset: int
    next_offset: int
    reached_offset: int
    counts: Settlement
    tiles: Sequence[Tile]

    @property
    def from_offset(self) -> int:
        """Where what is left of the history begins; a prune removes its oldest rows."""
        return self.tiles[0].from_offset if self.tiles else self.start_offset

    @property
    def until_offset(self) -> int:
        return self.tiles[-1].until_offset if self.tiles else self.start_offset

    @property
    def pruned(self) -> bool:
        return self.from_offset > self.start_offset

    @property
    def total(self) -> Settlement:
        total = Settlement()
        for tile in self.tiles:
            total.add(tile.settlement)
        return total


def faults(history: History) -> list[str]:
    """A sentence for each thing that does not fit."""
    return [*_seams(history), *_edges(history), *_sums(history)]


def _seams(history: History) -> list[str]:
    found, reached = [], history.from_offset
    for tile in history.tiles:
        if tile.from_offset > reached:
            found.append(f"{history.address}: no row of progress covers {reached} up to {tile.from_offset - 1}")
        if tile.from_offset < reached:
            end = min(reached, tile.until_offset) - 1
            found.append(f"{history.address}: two rows of progress cover {tile.from_offset} up to {end}")
        reached = max(reached, tile.until_offset)
    return found


def _edges(history: History) -> list[str]:
    address, found = history.address, []
    if history.from_offset < history.start_offset:
        found.append(f"{address}: progress begins at {history.from_offset}, before the ledger's {history.start_offset}")
    if history.until_offset != history.reached_offset:
        found.append(f"{address}: progress ends at {history.until_offset}, the ledger at {history.reached_offset}")
    if history.next_offset > history.reached_offset:
        found.append(
            f"{address}: the ledger's next offset {history.next_offset} is past the furthest that it settled, "
            f"{history.reached_offset}"
        )
    return found


def _sums(history: History) -> list[str]:
    found, total = [], history.total
    for ending in Ending:
        of_rows, of_ledger = getattr(total, ending.value), getattr(history.counts, ending.value)
        if of_rows > of_ledger or (of_rows != of_ledger and not history.pruned):
            found.append(f"{history.address}: progress counts {of_rows} {ending.value}, the ledger {of_ledger}")
    return found
