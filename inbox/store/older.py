"""What a worker knows of the ids in the older generations of claims, so that it need not look each new id up there.

Most ids were never seen before, and to find that out costs a page of the index for each of them and each older
generation. Four bits for each claim, two in each of two bytes that the id names, answer it from memory but for a few in
a thousand (a Bloom filter whose blocks are bytes: an id that is new mostly costs one access to memory).
"""

from collections.abc import Iterator, Sequence
from struct import Struct

from inbox.store.table_names import GENERATION_SLOTS

MOST_BITS = 29
"""At most 2 to this power, 64 MB: over 20 million claims 0.1 % of new ids are looked up in vain, over 100 14 %."""

BLOCK_BYTES = 1024

_BITS_A_CLAIM = 16
_FACTOR = 0x9E3779B97F4A7C15
_WORDS = Struct(">4xII4x")
_PAIRS = [1 << high | 1 << low for high in range(8) for low in range(high)]
_PATTERNS = bytes(_PAIRS[(number >> 2) % len(_PAIRS)] for number in range(256))


class OlderClaims:
    """The ids that may have a claim in a generation before `until`: what is known ends there.

    `since` is the oldest generation that there was when all of them were read.
    """

    def __init__(self, bits: bytearray | None = None, *, since: int = 0, until: int = 0) -> None:
        self.bits = bits or bytearray()
        self.since = since
        self.until = until
        self._mask = len(self.bits) - 1

    def suspects(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Those that have to be looked up."""
        bits, mask, patterns = self.bits, self._mask, _PATTERNS
        if not bits:
            return ()
        words = _mixed(b"".join(ids))
        return [
            event_id
            for event_id, (second, first), pattern in zip(ids, _WORDS.iter_unpack(words), _first(words), strict=True)
            if bits[first & mask] & pattern == pattern
            and bits[second & mask] & (other := patterns[second >> 24]) == other
        ]


class Filter:
    """Four bits for each id, in as many bytes as `2 ** power` bits take."""

    def __init__(self, power: int) -> None:
        self.bits = bytearray(2 ** (power - 3))

    def add(self, ids: bytes) -> None:
        """`ids` are 16 bytes each."""
        bits, mask, patterns = self.bits, len(self.bits) - 1, _PATTERNS
        words = _mixed(ids)
        for (second, first), pattern in zip(_WORDS.iter_unpack(words), _first(words), strict=True):
            bits[first & mask] |= pattern
            bits[second & mask] |= patterns[second >> 24]

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """By its number each block that has any bit."""
        for number in range(len(self.bits) // BLOCK_BYTES):
            block = bytes(self.bits[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])
            if block.count(0) < BLOCK_BYTES:
                yield number, block

    def unite(self, number: int, block: bytes, power: int) -> None:
        """Add a block of a filter that is at most as large: a place in it is the low bits of several here."""
        new = int.from_bytes(block)
        for start in range(number * BLOCK_BYTES, len(self.bits), 2 ** (power - 3)):
            place = slice(start, start + BLOCK_BYTES)
            self.bits[place] = (int.from_bytes(self.bits[place]) | new).to_bytes(BLOCK_BYTES)


def bits_for(claims: int) -> int:
    """The power of two of bits for a generation of so many claims, whose places all the others share."""
    return min(max(16, (_BITS_A_CLAIM * GENERATION_SLOTS * claims).bit_length()), MOST_BITS)


def _mixed(ids: bytes) -> bytes:
    """For each id two words, behind four bytes and before four: their low bits name a byte, their high ones two bits.

    All of the id counts, for any part of it may be the same in many: time, node, the zeros of a counter. All ids at
    once, since a long integer costs less than one an id. Stored filters are made so: another way is another revision.
    """
    number = int.from_bytes(ids)
    halves = int.from_bytes(b"\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff" * (len(ids) // 16))
    return (((number ^ number >> 64) & halves) * _FACTOR).to_bytes(len(ids))


def _first(words: bytes) -> bytes:
    """For each id the two bits of its first byte, the one that is looked at for all."""
    return words[8::16].translate(_PATTERNS)
