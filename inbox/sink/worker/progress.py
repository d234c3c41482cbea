"""Hold how far a worker is, for a terminal and for a health probe."""

from dataclasses import dataclass, field

from inbox.events import Settlement, TopicPartition


@dataclass
class WorkerProgress:
    """The state of a worker for a terminal and a probe, kept up to date by the loop.

    `joined` means that the worker is a member of the group, with partitions or as a spare.
    `last_turn` is when the loop last began a turn, in seconds by the loop's clock.
    """

    settlement: Settlement = field(default_factory=Settlement)
    records: int = 0
    batch_records: int = 0
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    waiting_for: str | None = None
    lag: int = 0
    joined: bool = False
    last_turn: float | None = None
