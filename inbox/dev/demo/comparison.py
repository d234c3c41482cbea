"""Compare the committed events in the order service's ledger with the consumer's database: pure, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Truth:
    """The facts committed to Kafka: the events, and the stock that is right once each was applied exactly once."""

    committed: frozenset[UUID]
    stock: Mapping[str, int]


@dataclass(frozen=True)
class ConsumerDatabase:
    """The contents of a consumer's database: how often each event was applied, and the stock that is left."""

    applied: Mapping[UUID, int]
    stock: Mapping[str, int]


@dataclass(frozen=True)
class ConsumerResult:
    """The counts of one consumer: `applied` = `committed` - `lost` + `doubled` + `never_committed`.

    `doubled` counts the applications of a committed event after its first, whether a crash or the producer
    repeated it. `never_committed` counts applications of events that were in aborted transactions alone.
    """

    committed: int
    applied: int
    lost: int
    doubled: int
    never_committed: int
    stock_right: bool

    @property
    def exact(self) -> bool:
        return self.lost == self.doubled == self.never_committed == 0 and self.stock_right


def judged(truth: Truth, found: ConsumerDatabase) -> ConsumerResult:
    mine = {event_id: count for event_id, count in found.applied.items() if event_id in truth.committed}
    applied = sum(found.applied.values())
    return ConsumerResult(
        committed=len(truth.committed),
        applied=applied,
        lost=len(truth.committed) - len(mine),
        doubled=sum(mine.values()) - len(mine),
        never_committed=applied - sum(mine.values()),
        stock_right=found.stock == truth.stock,
    )
