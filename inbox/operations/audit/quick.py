"""The work of `inbox audit --quick`: it compares the ledger with its history, without Kafka and the claims."""

from collections.abc import Sequence
from dataclasses import dataclass

from inbox.events import Settlement, TopicPartition
from inbox.operations.audit.accounting import CHUNK_BITS
from inbox.operations.audit.audit import Request, chosen_partitions
from inbox.operations.audit.history import faults
from inbox.settings import Settings
from inbox.store.postgres.connection import snapshot
from inbox.store.store import open_store


@dataclass(frozen=True, kw_only=True)
class QuickPart:
    """A partition's history: the offsets that it covers, its counts, and a sentence for each fault in it."""

    address: TopicPartition
    from_offset: int
    until_offset: int
    total: Settlement
    faults: Sequence[str]


def quick_audit(settings: Settings, request: Request) -> list[QuickPart]:
    """Check the histories as they are at one moment, so that a running sink causes no fault.

    Raises:
        RefusedError: the request makes no sense.
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with (
        open_store(settings.database, command="audit", doing="auditing", unhurried=True) as store,
        snapshot(store.connection),
    ):
        reads = store.audit(bits=CHUNK_BITS)
        meant = {each.address for each in chosen_partitions(request, reads.bounds())}
        return [
            QuickPart(
                address=history.address,
                from_offset=history.from_offset,
                until_offset=history.until_offset,
                total=history.total,
                faults=faults(history),
            )
            for history in reads.histories()
            if history.address in meant
        ]
