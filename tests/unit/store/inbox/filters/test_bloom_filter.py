"""Filters of ids: what was added is never passed over, and what was not mostly is."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from inbox.store.inbox.filters.bloom_filter import BLOCK_BYTES, BloomFilter

IN_BLOCKS = 25
"""The power of a filter that is stored in four pieces."""


@pytest.mark.parametrize(
    ("powers", "united"), [((13, 16), 16), ((16, IN_BLOCKS), IN_BLOCKS), ((IN_BLOCKS - 1, IN_BLOCKS), IN_BLOCKS)]
)
def test_filters_of_several_sizes_are_one(powers: tuple[int, int], united: int) -> None:
    few, many = [uuid4().bytes for _ in range(40)], [uuid4().bytes for _ in range(400)]
    together = BloomFilter(united)
    for power, ids in zip(powers, (few, many), strict=True):
        built = BloomFilter(power)
        built.add(b"".join(ids))
        for number, block in built.blocks():
            together.merge(number, block, power)
    assert list(together.candidates([*few, *many])) == [*few, *many]
    assert len(together.candidates([uuid4().bytes for _ in range(2000)])) < 50


def test_the_blocks_of_a_filter_are_all_of_it() -> None:
    built = BloomFilter(IN_BLOCKS)
    sizes = [len(block) for _, block in built.blocks()]
    assert sizes == [BLOCK_BYTES] * 4
    assert 8 * sum(sizes) == 2**built.power


@pytest.mark.parametrize(
    ("power", "places"), [(16, {2157: 0b1000100, 3614: 0b110000}), (29, {61007981: 0b1000100, 6376990: 0b110000})]
)
def test_an_id_has_the_bits_that_stored_filters_give_it(power: int, places: dict[int, int]) -> None:
    built = BloomFilter(power)
    built.add(bytes(range(16)))
    bits = b"".join(block for _, block in built.blocks())
    assert {place: bits[place] for place in places} == places
    assert bits.count(0) == len(bits) - 2


def test_a_filter_that_was_cleared_suspects_nothing() -> None:
    ids = [uuid4().bytes for _ in range(100)]
    built = BloomFilter(16)
    built.add(b"".join(ids))
    built.clear()
    assert list(built.candidates(ids)) == []


HALF = (1 << 64) - 1


@pytest.mark.parametrize(
    "form",
    [
        lambda n, _: (n & HALF) << 64 | 0xABCD,
        lambda n, _: 0xABCD << 64 | n & HALF,
        lambda n, _: (n & HALF) << 64 | n & HALF,
        lambda _, place: place,
        lambda _, place: place << 96,
    ],
    ids=["node last", "time first", "twice the same", "counted", "counted in front"],
)
def test_a_filter_tells_ids_apart_of_which_a_part_is_the_same(form: Callable[[int, int], int]) -> None:
    ids = [form(uuid4().int, place).to_bytes(16) for place in range(2000)]
    built = BloomFilter(17)
    built.add(b"".join(ids[:1000]))
    assert len(built.candidates(ids[1000:])) < 100
