"""The filters of the generations: built from closed generations, stored, and read by every worker.

Most ids were never seen before. To find that out in the tables costs an index page for each id and
each older generation. A filter answers from memory for all but a few ids in a thousand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from inbox.errors import HaltError
from inbox.store.inbox.generations import FILTERED_TOGETHER, Generation, Generations, first_of_filter
from inbox.store.postgres.connection import Connection, snapshot, transaction
from inbox.store.schema.names import GENERATION_SLOTS, table_of
from inbox.store.sql import of_generation, statements

if TYPE_CHECKING:
    from inbox.store.inbox.filters.bloom_filter import BloomFilter


MOST_BITS = 29
"""A filter has at most 2 ** 29 bits, 64 MB: with 20 million claims 0.1 % of new ids are looked up in vain, with
100 million 14 %.
"""

_BITS_A_CLAIM = 16
_CLAIMS_A_BLOCK = 107
_BLOCKS_AT_ONCE = 100


@dataclass(frozen=True)
class OlderClaims:
    """The ids that may have a claim in the generations from `since` to `until - 1`.

    `since` was the oldest generation when the filters were read. `filter` is None if these
    generations hold no claims.
    """

    filter: "BloomFilter | None" = None
    since: int = 0
    until: int = 0

    def candidates(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Return the ids that have to be looked up."""
        return self.filter.candidates(ids) if self.filter else ()


class GenerationFilters:
    """The filters of closed generations: builds, stores and reads them."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("generation_filters", schema)
        self._schema = schema
        self._generations = Generations(connection, schema)

    def build(self, number: int) -> None:
        """Build the filter of a generation that takes no new claims, so that a missing id is found cheaply.

        Generations are built in turn. The ids are read in one snapshot, because a replay may move a
        claim within the table meanwhile.
        """
        first = first_of_filter(number)
        with snapshot(self._connection):
            row = self._connection.execute(of_generation(self._sql["blocks"], table_of(number))).fetchone()
            blocks = row[0] if row else 0
            stored = _powers(self._generations.read()).get(first, 0)
            built = _empty_filter(max(stored, bits_for(blocks * _CLAIMS_A_BLOCK)))
            if stored:
                self._merge(built, first, stored)
            for start in range(0, blocks, _BLOCKS_AT_ONCE):
                built.add(self._ids(number, start, start + _BLOCKS_AT_ONCE))
        with transaction(self._connection):
            self._store(first, built)
            parameters = {"first": first, "generation": number, "filter_bits": built.power}
            self._connection.execute(self._sql["note_filter"], parameters)

    def _ids(self, number: int, first: int, end: int) -> bytes:
        parameters = {"first": f"({first},0)", "end": f"({end},0)"}
        row = self._connection.execute(
            of_generation(self._sql["ids"], table_of(number)), parameters, binary=True
        ).fetchone()
        return row[0] or b"" if row else b""

    def _store(self, first: int, built: "BloomFilter") -> None:
        self._connection.execute(self._sql["forget_filter"], {"generation": first})
        for block, bits in built.blocks():
            self._connection.execute(self._sql["add_block"], {"generation": first, "block": block, "bits": bits})

    def older(self, known: OlderClaims) -> OlderClaims:
        """Return what is known of the ids in all generations but the youngest, up to the first without a filter.

        Takes over the memory of `known`, which must not be used afterwards, even if this fails.
        Reads only the filters that changed, unless one of them is gone.
        """
        with snapshot(self._connection):
            generations = self._generations.read()
            filtered = list(takewhile(lambda each: each.filter_bits is not None, generations))
            oldest = generations[0].number
            until = filtered[-1].number + 1 if filtered else oldest
            powers = _powers(filtered)
            if not powers:
                return OlderClaims(since=oldest, until=until)
            together, goes_on = known.filter, first_of_filter(known.since) == min(powers)
            if together is None or together.power != max(powers.values()):
                together, goes_on = _empty_filter(max(powers.values())), False
            elif not goes_on:
                together.clear()
            for first, power in powers.items():
                if not goes_on or first + FILTERED_TOGETHER > known.until:
                    self._merge(together, first, power)
            return OlderClaims(together, since=oldest, until=until)

    def _merge(self, together: "BloomFilter", first: int, power: int) -> None:
        """Add the filter block by block, so that no second copy of it is in memory."""
        size = 0
        for block, bits in self._connection.cursor(binary=True).stream(self._sql["filter"], {"generation": first}):
            together.merge(block, bits, power)
            size += len(bits)
        if 8 * size != 2**power:
            raise HaltError(
                f"the filter of generation {first} in {self._schema}.generation_filters has {size:,} bytes of "
                f"{2**power // 8:,}: set filter_bits of {self._schema}.generations to NULL from generation {first} to "
                f"{first + FILTERED_TOGETHER - 1}, and they are rebuilt"
            )


def bits_for(claims: int) -> int:
    """Return the power of two of bits for a generation of this many claims in a filter that all generations share."""
    return min(max(16, (_BITS_A_CLAIM * GENERATION_SLOTS * claims).bit_length()), MOST_BITS)


def _empty_filter(power: int) -> "BloomFilter":
    """Return an empty filter.

    Imported only here: a worker whose claims are all young does without numpy and saves 17 MB.
    """
    from inbox.store.inbox.filters.bloom_filter import BloomFilter

    return BloomFilter(power)


def _powers(generations: Iterable[Generation]) -> dict[int, int]:
    """Return the power of two of the bits of each filter, by the number of its first generation."""
    return {first_of_filter(each.number): each.filter_bits for each in generations if each.filter_bits is not None}
