"""What the ledger says of a batch whose COMMIT had no answer."""

from collections.abc import Mapping

import pytest

from inbox.events import Settlement, TopicPartition
from inbox.sink.batch import Batch, PartitionBatch
from inbox.sink.outcome import SettledBatch, resolved
from inbox.store.inbox.ledger import LedgerRow

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def batch_of(*partitions: TopicPartition) -> Batch:
    """Offsets 10 up to 20 of each partition, under owner epoch 3."""
    return Batch({address: PartitionBatch(address, address.partition, 3, 10, 20, {}) for address in partitions})


def mine(next_offsets: Mapping[TopicPartition, int], *, epoch: int = 3) -> dict[TopicPartition, LedgerRow]:
    return {
        address: LedgerRow(address.partition, address, next_offset, "me", epoch)
        for address, next_offset in next_offsets.items()
    }


def test_a_ledger_that_stands_behind_the_batch_has_it() -> None:
    assert resolved(batch_of(P0), mine({P0: 20})) == SettledBatch(settlements={P0: Settlement()})


def test_a_ledger_that_stands_before_the_batch_has_nothing_of_it() -> None:
    assert resolved(batch_of(P0), mine({P0: 10})) is None


@pytest.mark.parametrize("next_offset", [0, 9, 15, 21])
def test_a_ledger_that_stands_elsewhere_fences_the_batch(next_offset: int) -> None:
    assert resolved(batch_of(P0), mine({P0: next_offset})) == SettledBatch(fenced=frozenset([P0]))


def test_a_partition_of_another_owner_is_fenced() -> None:
    assert resolved(batch_of(P0), {}) == SettledBatch(fenced=frozenset([P0]))


@pytest.mark.parametrize("next_offset", [10, 15, 20])
def test_a_raised_epoch_fences_wherever_the_ledger_stands(next_offset: int) -> None:
    """A replay may have gone back to the very offset that the batch starts or ends at."""
    assert resolved(batch_of(P0), mine({P0: next_offset}, epoch=4)) == SettledBatch(fenced=frozenset([P0]))


def test_a_batch_of_several_partitions_is_in_as_a_whole() -> None:
    found = resolved(batch_of(P0, P1), mine({P0: 20, P1: 20}))
    assert found == SettledBatch(settlements={P0: Settlement(), P1: Settlement()})


def test_a_batch_of_several_partitions_is_out_as_a_whole() -> None:
    assert resolved(batch_of(P0, P1), mine({P0: 10, P1: 10})) is None


@pytest.mark.parametrize("other", [10, 20])
def test_what_is_fenced_is_named_alone_whatever_became_of_the_rest(other: int) -> None:
    assert resolved(batch_of(P0, P1), mine({P1: other})) == SettledBatch(fenced=frozenset([P0]))


def test_rows_of_partitions_that_the_batch_does_not_have_say_nothing() -> None:
    assert resolved(batch_of(P0), mine({P0: 10, P1: 99})) is None
