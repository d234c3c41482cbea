"""The report of a sink's status, for people and for programs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from inbox.cli.output import timestamp
from inbox.cli.reports.holds import in_force_json, in_force_lines
from inbox.cli.reports.replay import replay_json
from inbox.cli.tables import PlainTable
from inbox.operations.status.outbox import OutboxStatus
from inbox.operations.status.status import PartitionRow, Status
from inbox.printable import first_of, printable
from inbox.store.inbox.replays import Replay

_UNKNOWN = "?"
_MOST_MEMBERS = 10


def document(found: Status) -> dict[str, Any]:
    """Return the status as `--json` prints it."""
    return {
        "sink": found.sink,
        "schema": found.schema,
        "holds": [in_force_json(each) for each in found.holds],
        "partitions": [_partition(row) for row in found.partitions],
        "totals": {ending.value: count for ending, count in found.totals.by_ending().items()},
        "dead_letters": {"parked": found.parked, "waiting": found.waiting},
        "same_id_other_payload": found.same_id_other_payload,
        "horizon": timestamp(found.horizon),
        "last_prune_at": timestamp(found.last_prune.at) if found.last_prune is not None else None,
        "lag": found.lag,
        "rate": round(found.rate, 1),
        "oldest_unsettled_seconds": found.oldest_unsettled_seconds,
        "last_replay": None if found.last_replay is None else replay_json(found.last_replay),
        "unknown_members": [
            {
                "route": each.route,
                "member": each.member,
                "events": each.events,
                "first_seen_at": timestamp(each.first_seen_at),
                "last_seen_at": timestamp(each.last_seen_at),
            }
            for each in found.unknown_members
        ],
        **({} if found.outbox is None else {"outbox": _outbox_json(found.outbox)}),
    }


def _outbox_json(outbox: OutboxStatus) -> dict[str, Any]:
    waiting, slot = outbox.waiting, outbox.slot
    return {
        "relay": outbox.relay.value,
        "waiting": waiting and waiting.events,
        "oldest_waiting_at": timestamp(waiting.oldest_at) if waiting else None,
        "slot": slot and {"name": slot.name, "active": slot.active, "bytes_behind": slot.bytes_behind},
    }


def _partition(row: PartitionRow) -> dict[str, Any]:
    return {
        "topic": row.ledger.address.topic,
        "partition": row.ledger.address.partition,
        "next_offset": row.ledger.next_offset,
        "end_offset": row.end_offset,
        "lag": row.lag,
        "owner": row.ledger.owner,
        "owner_epoch": row.ledger.owner_epoch,
        "last_progress_at": timestamp(row.ledger.last_progress_at),
        "rate": round(row.rate, 1),
        "oldest_unsettled_at": timestamp(row.oldest_unsettled_at),
        "paused": "dead_letters" if row.paused else None,
        "held": row.held,
        "high_watermark": row.high_watermark,
        "held_back": row.held_back,
        "open_transaction_since": timestamp(row.open_transaction_since),
    }


def holds_lines(found: Status) -> list[str]:
    """Return two lines for each hold in force, which stand above everything else."""
    return list(in_force_lines(found.holds))


def partitions_table(found: Status, *, screen: bool = False) -> PlainTable:
    """Return a table with a row for each partition; for a screen, without the date of today."""
    table = PlainTable(title=f"sink {found.sink}, schema {found.schema}")
    table.add_columns("topic")
    table.add_columns("partition", "next offset", "end offset", "lag", "rate/s", "oldest", justify="right")
    table.add_columns("owner", "last progress (UTC)")
    for row in found.partitions:
        table.add_row(*_cells(row, found.looked_at), _moment(row.ledger.last_progress_at, found.looked_at, screen))
    return table


def _moment(moment: datetime, looked_at: datetime, screen: bool) -> str:
    moment, today = moment.astimezone(UTC), looked_at.astimezone(UTC).date()
    return moment.strftime("%H:%M:%S" if screen and moment.date() == today else "%Y-%m-%d %H:%M:%S")


def _cells(row: PartitionRow, looked_at: datetime) -> list[str]:
    ledger = row.ledger
    numbers = [ledger.address.partition, ledger.next_offset, row.end_offset, row.lag]
    shown = [_UNKNOWN if number is None else str(number) for number in numbers]
    age = "" if row.oldest_unsettled_at is None else age_of((looked_at - row.oldest_unsettled_at).total_seconds())
    return [ledger.address.topic, *shown, f"{row.rate:.0f}", age, _member(ledger.owner)]


def _member(owner: str | None) -> str:
    """Return host and process id of an owner, without the random token, which is of no use to a reader."""
    return "nobody yet" if owner is None else owner.rpartition(":")[0] or owner


def age_of(seconds: float) -> str:
    """Return a duration in whole seconds, as `3s` or `1:02:03`."""
    whole = max(0, int(seconds))
    return f"{whole}s" if whole < 60 else str(timedelta(seconds=whole))


def summary(found: Status) -> str:
    """Return the lines below the table."""
    totals = ", ".join(
        f"{count} {ending.value.replace('_', '-')}" for ending, count in found.totals.by_ending().items()
    )
    lag = _UNKNOWN if found.lag is None else str(found.lag)
    text = f"lag {lag}; {totals}\n{found.rate:.0f} offsets/s over the last minutes"
    if (seconds := found.oldest_unsettled_seconds) is not None:
        text += f"; the oldest event that waits is {age_of(seconds)} old"
    text += f"\ndead letters: {found.parked} parked, {found.waiting} waiting behind them"
    if found.parked:
        text += "; `inbox dead-letters causes` says why"
    if paused := [str(row.ledger.address) for row in found.partitions if row.paused]:
        text += (
            f"\npaused: {', '.join(paused)}, with more dead letters within an hour than [failures] halt_above; "
            "see `inbox dead-letters list`"
        )
    for row in found.partitions:
        if row.held_back:
            text += f"\n{_open_transaction(row, found.looked_at)}"
    if found.outbox is not None:
        text += f"\noutbox: {_outbox(found.outbox, found.looked_at)}"
    if found.last_replay is not None:
        text += f"\n{_replay(found.last_replay)}"
    if found.same_id_other_payload:
        text += f"\n{found.same_id_other_payload} events had the id of an applied event with another payload"
    text += "".join(f"\n{line}" for line in _unknown_members(found))
    if found.horizon is not None:
        text += f"\nduplicates are recognised back to {timestamp(found.horizon)}"
    if found.last_prune is not None:
        by = "" if found.last_prune.by is None else f", by {printable(found.last_prune.by)}"
        text += f"\nlast round of pruning: {timestamp(found.last_prune.at)}{by}"
    return text


def _unknown_members(found: Status) -> Iterator[str]:
    """Yield a line for each route with members that fill no column."""
    for route, members in groupby(found.unknown_members, key=lambda each: each.route):
        of_route = list(members)
        shown = first_of([f"{each.member or 'others'} ({each.events})" for each in of_route], _MOST_MEMBERS)
        last = timestamp(max(each.last_seen_at for each in of_route))
        yield f"route {route}: members that fill no column (events): {shown}; last seen {last}"


def _open_transaction(row: PartitionRow, looked_at: datetime) -> str:
    since = row.open_transaction_since
    age = "" if since is None else f" for {age_of((looked_at - since).total_seconds())}"
    return (
        f"{row.ledger.address}: a producer's transaction has been open{age} at the last stable offset "
        f"{row.end_offset}; the log continues to {row.high_watermark}, and nothing in between is delivered before the "
        "transaction ends"
    )


def _outbox(outbox: OutboxStatus, looked_at: datetime) -> str:
    if outbox.waiting is not None:
        oldest = outbox.waiting.oldest_at
        since = "" if oldest is None else f", the oldest for {age_of((looked_at - oldest).total_seconds())}"
        return f"{outbox.waiting.events} events wait for the relay{since}"
    if outbox.slot is None:
        return "Debezium publishes, and there is no slot of its connector"
    reads = "reads" if outbox.slot.active else "does not read"
    return f"Debezium {reads} the slot {outbox.slot.name}, {outbox.slot.bytes_behind} bytes of WAL behind"


def _replay(replay: Replay) -> str:
    of = sum(each.until_offset - each.from_offset for each in replay.ranges)
    done = sum(each.next_offset - each.from_offset for each in replay.ranges)
    how = f"{replay.state.value}, {done} of {of} offsets"
    return f"last replay: {replay.replay_id}, {replay.mode.value}, by {printable(replay.requested_by)}: {how}"
