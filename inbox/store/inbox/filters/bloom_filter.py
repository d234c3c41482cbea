"""Bloom filters of event ids: four bits for each id, two in each of two bytes that the id selects.

The first byte mostly shows that an id is new, which costs one access to memory.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 2**20
"""The size of the pieces in which a filter is stored and read; a smaller filter is one piece."""

_MIXING = np.uint64(0x9E3779B97F4A7C15)
_HALF, _LOW_HALF = np.uint64(32), np.uint64(0xFFFFFFFF)
_PATTERN_SHIFT = np.uint64(26)
_PAIRS = [1 << high | 1 << low for high in range(8) for low in range(high)]
_PATTERNS = np.array([_PAIRS[number % len(_PAIRS)] for number in range(64)], dtype=np.uint8)


class BloomFilter:
    """A filter of `2 ** power` bits, with a power of 29 at most.

    An id that was added has all four of its bits set; few other ids have.
    """

    def __init__(self, power: int) -> None:
        self._bits = np.zeros(2 ** (power - 3), dtype=np.uint8)

    @property
    def power(self) -> int:
        return len(self._bits).bit_length() + 2

    def clear(self) -> None:
        self._bits.fill(0)

    def add(self, ids: bytes) -> None:
        """Add ids of 16 bytes each."""
        for words in _words(ids):
            np.bitwise_or.at(self._bits, self._word_indexes(words), _patterns(words))

    def candidates(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Return the ids that may have been added."""
        first, second = _words(b"".join(ids))
        indexes = np.flatnonzero(self._has(first))
        return [ids[index] for index in indexes[self._has(second[indexes])]]

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield the pieces of the filter, each with its number."""
        for number, start in enumerate(range(0, len(self._bits), BLOCK_BYTES)):
            yield number, self._bits[start : start + BLOCK_BYTES].tobytes()

    def merge(self, number: int, block: bytes, power: int) -> None:
        """Add a block of a filter that is at most as large: one address there is the low bits of several here."""
        new = np.frombuffer(block, dtype=np.uint8)
        for start in range(number * BLOCK_BYTES, len(self._bits), 2 ** (power - 3)):
            self._bits[start : start + len(block)] |= new

    def _has(self, words: NDArray[np.uint64]) -> NDArray[np.bool_]:
        patterns = _patterns(words)
        found: NDArray[np.bool_] = (self._bits[self._word_indexes(words)] & patterns) == patterns
        return found

    def _word_indexes(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (words & np.uint64(len(self._bits) - 1)).view(np.int64)


def _words(ids: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return two 32-bit numbers for each id: their low 26 bits select a byte, the others two bits in it.

    The whole id counts in both numbers, because any part of it may be the same in many ids: time,
    node, the zeros of a counter. Stored filters depend on this function: a change needs a revision.
    """
    halves = np.frombuffer(ids, dtype=">u8").astype(np.uint64)
    mixed = halves[::2] * _MIXING ^ halves[1::2]
    mixed = (mixed ^ mixed >> _HALF) * _MIXING
    return mixed >> _HALF, mixed & _LOW_HALF


def _patterns(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return _PATTERNS[(words >> _PATTERN_SHIFT).view(np.int64)]
