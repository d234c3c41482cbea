"""The cost of continuing after a halt: pure, decided from the ledger and the log as they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inbox.events import TopicPartition
from inbox.sink.guards.log_check import LogView, is_another_topic
from inbox.store.inbox.ledger import KnownPartition
from inbox.store.inbox.resumptions import Successor


class RefusedError(Exception):
    """A request that makes no sense. The text says which request would."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to continue a topic at `from_offset`, or at the log start if it is None.

    `new_topic`: the topic there now is another one. `partitions` is None for all.
    """

    topic: str
    partitions: tuple[int, ...] | None = None
    from_offset: int | None = None
    new_topic: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a resume for one partition, and its cost.

    `lost` and `repeated` are numbers of offsets, None if they cannot be known.
    """

    successor: Successor
    log_start: int | None
    log_end: int | None
    lost: int | None
    repeated: int | None
    agrees_until: int | None = None

    @property
    def differs_from(self) -> int | None:
        """Return the first offset at which the log holds other events than were settled, as far as known."""
        if self.agrees_until is not None or self.successor.to_offset is None:
            return self.agrees_until
        return self.successor.to_offset

    @property
    def address(self) -> TopicPartition:
        return self.successor.before.address

    @property
    def costs(self) -> bool:
        return self.lost != 0 or self.repeated != 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The ledger's rows of the topic, the log, the offsets up to which truncated logs agree, and
    open dead letters by row."""

    known: Sequence[KnownPartition]
    log: LogView
    agrees_until: Mapping[TopicPartition, int]
    open_letters: Mapping[int, int]


def plan(request: Request, facts: Facts) -> list[Step]:
    """Return a step for each requested partition.

    Raises:
        RefusedError: the topic, a partition or the offset does not exist, or the topic is not a new
            one.
    """
    chosen = list(_chosen(request, facts.known))
    if request.new_topic and not any(_may_be_another(each, facts) for each in chosen):
        raise RefusedError(
            f"topic {request.topic} is the one that the ledger has (topic id {facts.log.topic_id}), and its logs agree "
            "with it; give --from-offset or --from-earliest"
        )
    _refuse_outside(request, chosen, facts.log)
    return [_step(each, request, facts) for each in chosen]


def _chosen(request: Request, known: Sequence[KnownPartition]) -> Iterator[KnownPartition]:
    by_number = {each.address.partition: each for each in known}
    if not known:
        raise RefusedError(f"the ledger has no topic {request.topic}; see `inbox status` for those that it has")
    for number in sorted(by_number) if request.partitions is None else request.partitions:
        if number not in by_number:
            there = ", ".join(map(str, sorted(by_number)))
            raise RefusedError(f"the ledger has no partition {number} of {request.topic}; it has {there}")
        yield by_number[number]


def _refuse_outside(request: Request, chosen: Sequence[KnownPartition], log: LogView) -> None:
    offset = request.from_offset
    if offset is None:
        return
    addresses = [each.address for each in chosen if each.address in log.ends]
    if outside := [each for each in addresses if not log.starts[each] <= offset <= log.ends[each]]:
        ranges = ", ".join(f"{each} has {log.starts[each]} up to {log.ends[each]}" for each in outside)
        raise RefusedError(f"offset {offset} is outside the log: {ranges}; give one that is in it, for each partition")


def _is_another_log(known: KnownPartition, facts: Facts) -> bool:
    log, address = facts.log, known.address
    return (
        known.cluster_id != log.cluster_id
        or is_another_topic(known.topic_id, log.topic_id)
        or address not in log.ends
        or known.next_offset > log.ends[address]
        or address in facts.agrees_until
    )


def _may_be_another(known: KnownPartition, facts: Facts) -> bool:
    return _is_another_log(known, facts) or known.topic_id is None or facts.log.topic_id is None


def _step(known: KnownPartition, request: Request, facts: Facts) -> Step:
    log, address = facts.log, known.address
    another = request.new_topic or _is_another_log(known, facts)
    to_offset: int | None = None
    lost: int | None = None
    repeated: int | None = 0
    if address not in log.ends:
        texts = [f"the cluster has no such partition any more: what it held from {known.next_offset} on is lost"]
    else:
        to_offset = log.starts[address] if request.from_offset is None else request.from_offset
        lost, repeated, texts = (_in_another if another else _in_the_same)(known, to_offset, facts)
    if another and (count := facts.open_letters.get(known.partition_id)):
        texts.append(
            f"{count} dead letters of the log before stay open, and later events of their keys no longer wait for them"
        )
    successor = Successor(
        before=known,
        cluster_id=log.cluster_id,
        topic_id=log.topic_id,
        to_offset=to_offset,
        another_log=another,
        consequence="; ".join(texts),
        same_below=_same_below(known, to_offset, facts) if another and not request.new_topic else 0,
    )
    start, end = log.starts.get(address), log.ends.get(address)
    return Step(
        successor=successor,
        log_start=start,
        log_end=end,
        lost=lost,
        repeated=repeated,
        agrees_until=facts.agrees_until.get(address),
    )


def _same_below(known: KnownPartition, to_offset: int | None, facts: Facts) -> int:
    """Return the offset below which a truncated log has the records that were settled; 0 if this is not known."""
    if to_offset is None or known.cluster_id != facts.log.cluster_id or known.topic_id != facts.log.topic_id:
        return 0
    return facts.agrees_until.get(known.address, to_offset)


_Cost = tuple[int | None, int | None, list[str]]


def _in_the_same(known: KnownPartition, to_offset: int, facts: Facts) -> _Cost:
    following, start = known.next_offset, facts.log.starts[known.address]
    if to_offset == following:
        return 0, 0, ["nothing is lost and nothing comes again"]
    if to_offset < following:
        again = following - to_offset
        return (
            0,
            again,
            [
                f"{_range(to_offset, following)} come again: those that have their claims are duplicates, "
                "those whose claims were pruned are applied again; on a route without claims all that it settled are "
                "duplicates"
            ],
        )
    gone_until = min(max(start, following), to_offset)
    texts = []
    if gone_until > following:
        texts.append(f"{_range(following, gone_until)} are lost: the log deleted them before they were settled")
    if to_offset > gone_until:
        texts.append(f"{_range(gone_until, to_offset)} are lost: the log has them, and they are passed over")
    return to_offset - following, 0, texts


def _in_another(known: KnownPartition, to_offset: int, facts: Facts) -> _Cost:
    if (agrees_until := facts.agrees_until.get(known.address)) is not None:
        return _in_truncated(known, to_offset, agrees_until)
    start = facts.log.starts[known.address]
    texts = [f"it is another log: what the one before held from {known.next_offset} on is lost"]
    if to_offset > start:
        texts.append(f"{_range(start, to_offset)} of this one are passed over")
    texts.append(
        f"it is taken from {to_offset} on: an event whose id was applied before is a duplicate, but those that are "
        "identified by coordinates count as new"
    )
    return None, None, texts


def _in_truncated(known: KnownPartition, to_offset: int, agrees_until: int) -> _Cost:
    texts = [
        f"the log was truncated at {agrees_until}: {_range(agrees_until, known.next_offset)} as they were settled are "
        "in the database and no longer in the log"
    ]
    if to_offset > agrees_until:
        texts.append(f"{_range(agrees_until, to_offset)} as they are now are lost: they are passed over")
    elif to_offset < agrees_until:
        texts.append(
            f"{_range(to_offset, agrees_until)} come again: those that have their claims are duplicates, and on a "
            "route without claims all that it settled are"
        )
    return max(0, to_offset - agrees_until), max(0, agrees_until - to_offset), texts


def _range(start: int, end: int) -> str:
    return f"offset {start}" if end == start + 1 else f"{end - start} offsets ({start} up to {end - 1})"
