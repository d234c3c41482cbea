"""The report of an audit, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from inbox.cli.tables import PlainTable
from inbox.events import Ending
from inbox.operations.audit.accounting import (
    OFFSETS_KEPT,
    Listed,
    OffsetAnswer,
    PartitionAudit,
    RouteAccount,
    repair_command,
)
from inbox.operations.audit.audit import Audit
from inbox.operations.audit.quick import QuickPart
from inbox.store.inbox.audit_queries import ForeignClaim

_SHOWN = 10
_ALWAYS_SHOWN = (OffsetAnswer.APPLIED, OffsetAnswer.DEAD_LETTERED, OffsetAnswer.MISSING)


def document(found: Audit) -> dict[str, Any]:
    """Return the audit as `--json` prints it."""
    return {
        "ok": found.ok,
        "partitions": [_partition(part) for part in found.parts],
        "claims_elsewhere": found.outsider_count,
        "claims_elsewhere_at": [_foreign_claim(each) for each in found.foreign_claims],
    }


def listed_document(listed: Listed) -> dict[str, Any]:
    """Return an offset as `--list` prints it."""
    listing = {
        "topic": listed.address.topic,
        "partition": listed.address.partition,
        "offset": listed.offset,
        "route": listed.route,
        "ending": listed.answer.value,
    }
    return listing if listed.of is None else {**listing, "of": listed.of._asdict()}


def _foreign_claim(claim: ForeignClaim) -> dict[str, Any]:
    return {
        "partition_id": claim.partition_id,
        "topic": claim.address and claim.address.topic,
        "partition": claim.address and claim.address.partition,
        "offset": claim.offset,
        "route": claim.route,
        "event_id": claim.event_id,
    }


def _partition(part: PartitionAudit) -> dict[str, Any]:
    return {
        "topic": part.address.topic,
        "partition": part.address.partition,
        "from_offset": part.from_offset,
        "until_offset": part.until_offset,
        "records": part.records,
        **_account(part.total),
        "unread": part.unread_count,
        "unread_at": [{"from_offset": each.start, "until_offset": each.stop} for each in part.unread[:OFFSETS_KEPT]],
        "claims_without_event": part.stray_count,
        "claims_without_event_at": [
            {"route": each.route, "event_id": each.event_id, "offset": each.offset} for each in part.strays
        ],
        "mend": repair_command(part),
        "routes": [
            {"route": name, "by": "ledger" if account.by_ledger else "claims", **_account(account)}
            for name, account in part.routes.items()
        ],
    }


def _account(account: RouteAccount) -> dict[str, Any]:
    return {
        **{answer.value: getattr(account, answer.value) for answer in OffsetAnswer},
        "adopted": account.adopted,
        "missing_offsets": account.missing_offsets,
    }


def table(found: Audit, *, screen: bool = False) -> PlainTable:
    """Return a table with a row for each partition; for a screen, without endings that no offset has."""
    totals = [part.total for part in found.parts]
    answers = [
        answer
        for answer in OffsetAnswer
        if not screen or answer in _ALWAYS_SHOWN or any(getattr(total, answer.value) for total in totals)
    ]
    shown = _table("from", "until", "records", *(answer.value.replace("_", "-") for answer in answers))
    for part, total in zip(found.parts, totals, strict=True):
        counts = [getattr(total, answer.value) for answer in answers]
        numbers = [part.address.partition, part.from_offset, part.until_offset, part.records, *counts]
        shown.add_row(part.address.topic, *map(str, numbers))
    return shown


def lines(found: Audit) -> list[str]:
    """Return a line for each fault with the way to fix it, or one line that says all is well."""
    by_ledger = _by_ledger(found)
    if faults := [*(line for part in found.parts for line in _faults(part)), *_foreign_claims(found)]:
        return [*faults, *by_ledger]
    return ["OK: every offset is accounted for. (Later changes in your own tables are not checked.)", *by_ledger]


def _by_ledger(found: Audit) -> list[str]:
    """Return what an audit cannot show of routes without claims."""
    names = sorted({name for part in found.parts for name, account in part.routes.items() if account.by_ledger})
    if not names:
        return []
    why = 'event_id = "coordinates" keeps no claims to compare with the log'
    return [f"by the ledger alone: route {', '.join(names)} ({why})"]


def _faults(part: PartitionAudit) -> list[str]:
    faults = []
    for route, account in part.routes.items():
        if account.missing:
            some = ", ".join(map(str, account.missing_offsets[:_SHOWN]))
            more = " ..." if account.missing > _SHOWN else ""
            lack = "are not settled by the ledger" if account.by_ledger else "have no claim"
            faults.append(f"{part.address}, route {route}: {account.missing} events {lack}: {some}{more}")
    if part.unread:
        faults.append(f"{part.address}: {_unread(part)}")
    if (command := repair_command(part)) is not None:
        faults.append(f"  to give them their effect: {command}")
    faults += [
        f"{part.address}@{orphan.offset}, route {orphan.route}: a claim of {orphan.event_id}, "
        "which is not the event there"
        for orphan in part.strays[:_SHOWN]
    ]
    if part.stray_count > _SHOWN:
        faults.append(f"{part.address}: {part.stray_count} such claims in all")
    return faults


def _unread(part: PartitionAudit) -> str:
    some = ", ".join(f"{each.start} up to {each.stop - 1}" for each in part.unread[:_SHOWN])
    more = " ..." if len(part.unread) > _SHOWN else ""
    return (
        f"of {part.unread_count} offsets nothing can be read, and the log has no reason for a gap there: {some}{more}; "
        "look at the broker's disk, and at another replica"
    )


def _foreign_claims(found: Audit) -> list[str]:
    faults = []
    for each in found.foreign_claims[:_SHOWN]:
        where = f"partition_id {each.partition_id}" if each.address is None else str(each.address)
        route = "of no route" if each.route is None else f"route {each.route}"
        faults.append(f"{where}@{each.offset}, {route}: a claim of {each.event_id}, which no sink made")
    if found.outsider_count > _SHOWN:
        faults.append(f"{found.outsider_count} such claims in all")
    return faults


def quick_document(parts: Sequence[QuickPart]) -> dict[str, Any]:
    """Return the quick audit as `--json` prints it."""
    return {"ok": not any(part.faults for part in parts), "partitions": [_quick_partition(part) for part in parts]}


def _quick_partition(part: QuickPart) -> dict[str, Any]:
    return {
        "topic": part.address.topic,
        "partition": part.address.partition,
        "from_offset": part.from_offset,
        "until_offset": part.until_offset,
        **{ending.value: count for ending, count in part.total.by_ending().items()},
        "faults": list(part.faults),
    }


def quick_table(parts: Sequence[QuickPart]) -> PlainTable:
    """Return a table with a row for each partition."""
    shown = _table("from", "until", *(ending.value.replace("_", "-") for ending in Ending))
    for part in parts:
        numbers = [part.address.partition, part.from_offset, part.until_offset, *part.total.by_ending().values()]
        shown.add_row(part.address.topic, *map(str, numbers))
    return shown


def quick_lines(parts: Sequence[QuickPart]) -> list[str]:
    """Return a line for each fault, or one line that says that ledger and history agree."""
    if faults := [fault for part in parts for fault in part.faults]:
        return faults
    return ["the ledger and its history agree; run `inbox audit` to check the log and the claims too"]


def _table(*numbers: str) -> PlainTable:
    shown = PlainTable()
    shown.add_columns("topic")
    shown.add_columns("partition", *numbers, justify="right")
    return shown
