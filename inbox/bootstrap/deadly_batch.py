"""The search for a record that ended the workers before this one and would end this one too."""

from collections.abc import Mapping

from inbox.errors import HaltError
from inbox.kafka.cluster import Cluster, TopicView
from inbox.kafka.log.crash_probe import Deadly, find_deadly
from inbox.settings import Settings
from inbox.sink.guards.log_check import resume_command
from inbox.store.inbox.ledger import Ledger

_ONE_BATCH = "1"
"""The bytes of an answer. A sink that asks for so few settles what stands before a damaged batch, and may end there."""


def refuse_deadly_batch(ledger: Ledger, settings: Settings, cluster: Cluster, topics: Mapping[str, TopicView]) -> None:
    """Raise if librdkafka ends the process when it reads a partition that the last owner did not advance.

    The log is read ahead in another process, wherever the last owner settled nothing although there
    was something. Most such owners ended for another reason, and then nothing is found.

    Raises:
        HaltError: librdkafka ends the process where it reads on.
    """
    if settings.kafka.properties.get("max.partition.fetch.bytes") == _ONE_BATCH:
        return
    here = {address for view in topics.values() for address in view.addresses()}
    unmoved = ledger.unmoved(sorted(topics))
    ends = cluster.stable_ends([at for at in unmoved if at in here])
    positions = {at: unmoved[at] for at, end in ends.items() if unmoved[at] < end}
    if positions and (found := find_deadly(settings.kafka, positions, ends, batch_bytes=settings.sink.batch_bytes)):
        raise HaltError(_text(found, positions[found.at]))


def _text(found: Deadly, following: int) -> str:
    at = found.at
    command = resume_command(f"{at.topic}:{at.partition}", f"--from-offset {found.following}")
    before = (
        f"; `inbox run -X max.partition.fetch.bytes={_ONE_BATCH}`, started again while the ledger moves, settles most "
        f"of what stands before it, from {following} on"
        if following < found.offset
        else ""
    )
    return (
        f"reading {at}@{found.offset}: librdkafka ends the process (SIGABRT) at the damaged batch there, as it ended "
        f"the worker before; look at the broker's disk and restore the log from a replica{before}; the log can be read "
        f"again from {found.following} on: {command}"
    )
