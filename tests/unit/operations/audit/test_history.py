"""Whether the ledger's history tiles it."""

import pytest

from inbox.events import Settlement, TopicPartition
from inbox.operations.audit.history import faults
from inbox.store.inbox.audit_queries import PartitionHistory, ProgressRow


def tile(start: int, end: int) -> ProgressRow:
    return ProgressRow(start, end, Settlement(applied=end - start))


def history(
    *tiles: ProgressRow, start: int = 0, following: int = 30, reached: int = 30, applied: int = 30
) -> PartitionHistory:
    return PartitionHistory(TopicPartition("t", 0), start, following, reached, Settlement(applied=applied), tiles)


WHOLE = (tile(0, 10), tile(10, 30))


@pytest.mark.parametrize(
    "sound",
    [
        history(*WHOLE),
        history(*WHOLE, following=5),  # a replay goes over it again
        history(start=7, following=7, reached=7, applied=0),
        history(tile(10, 30)),  # pruned
    ],
)
def test_a_history_that_tiles_has_no_fault(sound: PartitionHistory) -> None:
    assert faults(sound) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (history(tile(0, 10), tile(12, 30), applied=28), ["t[0]: no row of progress covers 10 up to 11"]),
        (history(tile(0, 10), tile(9, 30), applied=31), ["t[0]: two rows of progress cover 9 up to 9"]),
        (history(tile(0, 29), applied=29), ["t[0]: progress ends at 29, the ledger at 30"]),
        (history(applied=0), ["t[0]: progress ends at 0, the ledger at 30"]),
        (history(*WHOLE, applied=31), ["t[0]: progress counts 30 applied, the ledger 31"]),
        (history(tile(10, 30), applied=19), ["t[0]: progress counts 20 applied, the ledger 19"]),
        (
            history(*WHOLE, following=31),
            ["t[0]: the ledger's next offset 31 is past the furthest that it settled, 30"],
        ),
        (history(*WHOLE, start=3), ["t[0]: progress begins at 0, before the ledger's 3"]),
    ],
)
def test_what_does_not_fit_is_told(broken: PartitionHistory, told: list[str]) -> None:
    assert faults(broken) == told
