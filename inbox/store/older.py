"""What a worker knows of the ids in the older generations of claims, so that it need not look each new id up there.

Most ids were never seen before, and to find that out costs a page of the index for each of them and each older
generation. Two bits for each claim, at places computed from the id, answer it from memory but for one in some hundreds
(a Bloom filter).
"""

from collections.abc import Sequence
from struct import Struct

_ID = Struct(">4I")

MOST_BITS = 29
"""At most 2 to this power, 64 MB: with 100 million claims one id in ten is looked up in vain."""

BLOCK_BYTES = 1024


class OlderClaims:
    """The ids that may have a claim in an older generation; all of them, as long as nothing is known."""

    def __init__(self, bits: bytes | None = None) -> None:
        self._bits = bits
        self._mask = 8 * len(bits) - 1 if bits else 0

    @property
    def known(self) -> bool:
        return self._bits is not None

    def suspects(self, ids: Sequence[bytes]) -> Sequence[bytes]:
        """Those that have to be looked up."""
        bits, mask = self._bits, self._mask  # the same places as in `build_filter`, generations.sql
        if bits is None:
            return ids
        if not bits:
            return ()
        places = _ID.iter_unpack(b"".join(ids))
        return [
            event_id
            for event_id, (a, b, c, d) in zip(ids, places, strict=True)
            if bits[(place := (a ^ b ^ c ^ d) & mask) >> 3] & (128 >> (place & 7))
            and bits[(place := (a ^ b << 7 ^ c >> 5 ^ d << 13) & mask) >> 3] & (128 >> (place & 7))
        ]


def union(filters: Sequence[bytes]) -> OlderClaims:
    """Of filters whose sizes are powers of two: a place in a smaller one is the low bits of that in a larger one."""
    if not filters:
        return OlderClaims(b"")
    size = max(map(len, filters))
    together = 0
    for each in filters:
        together |= int.from_bytes(each * (size // len(each)))
    return OlderClaims(together.to_bytes(size))


def bits_for(claims: int) -> int:
    """The power of two of bits for so many claims: 64 for each, as several generations share the places."""
    return min(max(16, (64 * claims).bit_length()), MOST_BITS)
