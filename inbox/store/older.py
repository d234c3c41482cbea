"""What a worker knows of the ids in the older generations of claims, so that it need not look each new id up there.

Most ids were never seen before, and to find that out costs a page of the index for each of them and each older
generation. Two bits for each claim, in one byte that the id names, answer it from memory but for a few in a hundred (a
Bloom filter whose blocks are bytes, so that an id costs one access to memory).
"""

from collections.abc import Iterator, Sequence
from struct import Struct

MOST_BITS = 29
"""At most 2 to this power, 64 MB: over 20 million claims 1.5 % of new ids are looked up in vain, over 100 12 %."""

BLOCK_BYTES = 1024

_WORD = Struct(">12xI")
_PAIRS = [1 << high | 1 << low for high in range(8) for low in range(high)]
_PATTERNS = bytes(_PAIRS[(number >> 2) % len(_PAIRS)] for number in range(256))


class OlderClaims:
    """The ids that may have a claim in an older generation; all of them, as long as nothing is known."""

    def __init__(self, bits: bytes | bytearray | None = None) -> None:
        self._bits = bits
        self._mask = len(bits) - 1 if bits else 0

    @property
    def known(self) -> bool:
        return self._bits is not None

    def suspects(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Those that have to be looked up."""
        bits, mask = self._bits, self._mask
        if bits is None:
            return ids
        if not bits:
            return ()
        places = _places(b"".join(ids))
        return [
            event_id
            for event_id, ((word,), pattern) in zip(ids, places, strict=True)
            if bits[word & mask] & pattern == pattern
        ]


class Filter:
    """Two bits for each id, in as many bytes as `2 ** power` bits take."""

    def __init__(self, power: int) -> None:
        self.bits = bytearray(2 ** (power - 3))

    def add(self, ids: bytes) -> None:
        """`ids` are 16 bytes each."""
        bits, mask = self.bits, len(self.bits) - 1
        for (word,), pattern in _places(ids):
            bits[word & mask] |= pattern

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
    """The power of two of bits for so many claims: 64 for each, as several generations share the places."""
    return min(max(16, (64 * claims).bit_length()), MOST_BITS)


def _places(ids: bytes) -> Iterator[tuple[tuple[int], int]]:
    """For each id a word, whose low bits are the place of its byte, and by its high bits the two bits of that byte.

    The word is all of the id mixed, for any part of it may be the same in many: time, node, the zeros of a counter.
    All ids at once, since a long integer costs less than one an id. Stored filters are made so: another way is another
    revision.
    """
    mixed = int.from_bytes(ids)
    mixed ^= mixed >> 64
    mixed ^= mixed >> 32
    words = mixed.to_bytes(len(ids))
    return zip(_WORD.iter_unpack(words), words[12::16].translate(_PATTERNS), strict=True)
