"""The filters of the generations: built of those that were closed, stored, and read by every worker.

Most ids were never seen before, and to find that out costs a page of the index for each of them and each older
generation. A filter answers it from memory, but for a few in a thousand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from inbox.errors import HaltError
from inbox.store.inbox.generations import FILTERED_TOGETHER, Generation, Generations, first_of_filter
from inbox.store.postgres.connection import SinkConnection, snapshot, transaction
from inbox.store.schema.names import GENERATION_SLOTS, table_of
from inbox.store.sql import of_generation, statements

if TYPE_CHECKING:
    from inbox.store.inbox.bloom_filter import Filter


MOST_BITS = 29
"""At most 2 to this power, 64 MB: over 20 million claims 0.1 % of new ids are looked up in vain, over 100 14 %."""

_BITS_A_CLAIM = 16
_CLAIMS_A_BLOCK = 107
_BLOCKS_AT_ONCE = 100


@dataclass(frozen=True)
class OlderClaims:
    """The ids that may have a claim in a generation before `until`: what is known ends there.

    `since` is the oldest generation that there was when all of them were read. No filter: there is none of these.
    """

    filter: "Filter | None" = None
    since: int = 0
    until: int = 0

    def suspects(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Those that have to be looked up."""
        return self.filter.suspects(ids) if self.filter else ()


class GenerationFilters:
    """Builds and reads them."""

    def __init__(self, schema: str) -> None:
        self._sql = statements("generation_filters", schema)
        self._schema = schema
        self._generations = Generations(schema)

    def build(self, connection: SinkConnection, number: int) -> None:
        """Of a generation that takes no new claims: what makes it cheap to find that an id is not in it.

        Generations come in turn. The ids are read in one snapshot, since a replay may move a claim within the table
        meanwhile.
        """
        first = first_of_filter(number)
        with snapshot(connection):
            row = connection.execute(of_generation(self._sql["blocks"], table_of(number))).fetchone()
            blocks = row[0] if row else 0
            stored = _powers(self._generations.read(connection)).get(first, 0)
            built = _empty_filter(max(stored, bits_for(blocks * _CLAIMS_A_BLOCK)))
            if stored:
                self._unite(connection, built, first, stored)
            for start in range(0, blocks, _BLOCKS_AT_ONCE):
                built.add(self._ids(connection, number, start, start + _BLOCKS_AT_ONCE))
        with transaction(connection):
            self._store(connection, first, built)
            parameters = {"first": first, "generation": number, "filter_bits": built.power}
            connection.execute(self._sql["note_filter"], parameters)

    def _ids(self, connection: SinkConnection, number: int, first: int, end: int) -> bytes:
        parameters = {"first": f"({first},0)", "end": f"({end},0)"}
        row = connection.execute(of_generation(self._sql["ids"], table_of(number)), parameters, binary=True).fetchone()
        return row[0] or b"" if row else b""

    def _store(self, connection: SinkConnection, first: int, built: "Filter") -> None:
        connection.execute(self._sql["forget_filter"], {"generation": first})
        for block, bits in built.blocks():
            connection.execute(self._sql["add_block"], {"generation": first, "block": block, "bits": bits})

    def older(self, connection: SinkConnection, known: OlderClaims) -> OlderClaims:
        """What is known of the ids in all generations but the youngest, up to the first that has no filter yet.

        It takes the memory of what was `known`, which may not be asked from now on, also where this fails. Only the
        filters that changed are read, unless one of them is gone.
        """
        with snapshot(connection):
            generations = self._generations.read(connection)
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
                    self._unite(connection, together, first, power)
            return OlderClaims(together, since=oldest, until=until)

    def _unite(self, connection: SinkConnection, together: "Filter", first: int, power: int) -> None:
        """Block by block, so that no filter is there twice."""
        size = 0
        for block, bits in connection.cursor(binary=True).stream(self._sql["filter"], {"generation": first}):
            together.unite(block, bits, power)
            size += len(bits)
        if 8 * size != 2**power:
            raise HaltError(
                f"the filter of generation {first} in {self._schema}.generation_filters has {size:,} bytes of "
                f"{2**power // 8:,}: set filter_bits of {self._schema}.generations to NULL from generation {first} to "
                f"{first + FILTERED_TOGETHER - 1}, and they are rebuilt"
            )


def bits_for(claims: int) -> int:
    """The power of two of bits for a generation of so many claims, whose places all the others share."""
    return min(max(16, (_BITS_A_CLAIM * GENERATION_SLOTS * claims).bit_length()), MOST_BITS)


def _empty_filter(power: int) -> "Filter":
    """Not imported before the first is there: a worker all of whose claims are young does without numpy, 17 MB."""
    from inbox.store.inbox.bloom_filter import Filter

    return Filter(power)


def _powers(generations: Iterable[Generation]) -> dict[int, int]:
    """Of each filter, by the number of its first generation, the power of two of its bits."""
    return {first_of_filter(each.number): each.filter_bits for each in generations if each.filter_bits is not None}
