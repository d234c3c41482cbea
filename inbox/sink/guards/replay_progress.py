"""Record what a batch settles again of a replay, and end the replay of a partition behind its last offset."""

from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.replays import ReplayState
from inbox.store.store import Store


class ReplayProgress(Guard):
    """The progress of replays on one connection."""

    def __init__(self, store: Store) -> None:
        self._dead_letters = store.dead_letters
        self._replays = store.replays

    def after_fence(self, outcome: BatchOutcome) -> None:
        """Record the progress; a partition whose replay ended continues at its previous offset."""
        ended = set()
        for part, advance in zip(outcome.batch.partitions.values(), outcome.advances, strict=True):
            if (replay := part.replay) is None:
                continue
            by = f"replay {replay.replay_id}"
            self._dead_letters.resolve_applied(part.partition_id, part.before, part.after, by)
            self._resolve_without_claims(outcome, part.partition_id, by)
            self._replays.note(replay.replay_id, advance)
            if part.after >= replay.until_offset:
                self._replays.end(replay.replay_id, [part.partition_id], ReplayState.SETTLED)
                ended.add(part.address)
        outcome.elsewhere = frozenset(ended)

    def _resolve_without_claims(self, outcome: BatchOutcome, partition_id: int, by: str) -> None:
        for result in outcome.results.values():
            for (route_id, of_partition), offsets in result.applied_again.items():
                if of_partition == partition_id:
                    self._dead_letters.resolve_offsets(route_id, partition_id, offsets, by)
