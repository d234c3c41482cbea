"""The comparison of the ledger with its own history, the only check that needs no log.

Every batch writes both in one transaction, and a resume notes in the history the offsets that it
passes over. So each offset from the first to the furthest settled one is in exactly one row of
`progress`, and the counts are the ledger's, unless somebody changed either by hand. Claims and dead
letters are not looked at.
"""

from inbox.events import Ending
from inbox.store.inbox.audit_queries import PartitionHistory


def faults(history: PartitionHistory) -> list[str]:
    """Return a sentence for each thing that does not fit."""
    return [*_seams(history), *_edges(history), *_sums(history)]


def _seams(history: PartitionHistory) -> list[str]:
    found, reached = [], history.from_offset
    for tile in history.tiles:
        if tile.from_offset > reached:
            found.append(f"{history.address}: no row of progress covers {reached} up to {tile.from_offset - 1}")
        if tile.from_offset < reached:
            end = min(reached, tile.until_offset) - 1
            found.append(f"{history.address}: two rows of progress cover {tile.from_offset} up to {end}")
        reached = max(reached, tile.until_offset)
    return found


def _edges(history: PartitionHistory) -> list[str]:
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


def _sums(history: PartitionHistory) -> list[str]:
    found, total = [], history.total
    for ending in Ending:
        of_rows, of_ledger = getattr(total, ending.value), getattr(history.counts, ending.value)
        if of_rows > of_ledger or (of_rows != of_ledger and not history.pruned):
            found.append(f"{history.address}: progress counts {of_rows} {ending.value}, the ledger {of_ledger}")
    return found
