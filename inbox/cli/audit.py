"""`inbox audit`: accounts for every offset that the ledger says is settled."""

from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table

from inbox.app.audit import Audit, RefusedError, Request
from inbox.app.audit import audit as audit_log
from inbox.audit.account import Account, PartitionAudit, mending
from inbox.cli.exits import DONE, FOUND_A_FAILURE
from inbox.cli.options import config_option, example, json_option, properties_option, sink_settings
from inbox.cli.printing import notice, print_json, print_table
from inbox.cli.topics import where

_COUNTS = ("applied", "duplicate", "filtered", "dead_lettered", "passed_over", "unknown", "missing")


@click.command(epilog=example("inbox audit\ninbox audit --topic orders:0,3 --from-offset 1000000 --json"))
@config_option
@properties_option
@click.option("--topic", metavar="T[:P,P]", help="This topic, or some of its partitions; default: all of the routes.")
@click.option("--from-offset", type=click.IntRange(min=0), metavar="N", help="Begin at this offset of each partition.")
@click.option("--until-offset", type=click.IntRange(min=0), metavar="N", help="End before this offset.")
@json_option
def audit(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    topic: str | None,
    from_offset: int | None,
    until_offset: int | None,
    as_json: bool,
) -> int:
    """Read the topics again, beside the running sink, and account for every offset below the ledger's.

    Each is applied, a duplicate, filtered, a dead letter, or its claim is missing: then the exit code is 1, and the
    command that mends it is told. Claims whose event the log does not have are found too. Claims are what it can see:
    what somebody changed in your tables since it cannot.
    """
    name, partitions = where(topic) if topic is not None else (None, None)
    request = Request(topic=name, partitions=partitions, from_offset=from_offset, until_offset=until_offset)
    try:
        found = audit_log(sink_settings(config, properties), request, watch=lambda _: None)
    except RefusedError as error:
        raise click.UsageError(str(error)) from None
    for text in found.notices:
        notice(text)
    if as_json:
        print_json(document(found))
    else:
        print_table(_table(found))
        click.echo("\n".join(_lines(found)))
    return DONE if found.ok else FOUND_A_FAILURE


def document(found: Audit) -> dict[str, Any]:
    """The audit as `--json` prints it."""
    return {"ok": found.ok, "partitions": [_partition(part) for part in found.parts]}


def _partition(part: PartitionAudit) -> dict[str, Any]:
    return {
        "topic": part.address.topic,
        "partition": part.address.partition,
        "from_offset": part.from_offset,
        "until_offset": part.until_offset,
        "records": part.records,
        **_account(part.total),
        "claims_without_event": part.stray_count,
        "claims_without_event_at": [
            {"route": each.route, "event_id": each.event_id, "offset": each.offset} for each in part.strays
        ],
        "mend": mending(part),
        "routes": [{"route": name, **_account(account)} for name, account in part.routes.items()],
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        **{name: getattr(account, name) for name in _COUNTS},
        "adopted": account.adopted,
        "missing_offsets": account.missing_offsets,
    }


def _table(found: Audit) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("topic", overflow="fold")
    for name in ("partition", "from", "until", "records", *(name.replace("_", "-") for name in _COUNTS)):
        table.add_column(name, justify="right")
    for part in found.parts:
        total = part.total
        numbers = [part.address.partition, part.from_offset, part.until_offset, part.records]
        numbers += [getattr(total, name) for name in _COUNTS]
        table.add_row(part.address.topic, *map(str, numbers))
    return table


_SHOWN = 10


def _lines(found: Audit) -> list[str]:
    lines = [line for part in found.parts for line in _faults(part)]
    if lines:
        return lines
    return ["every offset is accounted for, as far as claims tell; what was changed in your tables since, they do not"]


def _faults(part: PartitionAudit) -> list[str]:
    lines = []
    for route, account in part.routes.items():
        if account.missing:
            some = ", ".join(map(str, account.missing_offsets[:_SHOWN]))
            more = " ..." if account.missing > _SHOWN else ""
            lines.append(f"{part.address}, route {route}: {account.missing} events have no claim: {some}{more}")
    if (command := mending(part)) is not None:
        lines.append(f"  to give them their effect: {command}")
    lines += [
        f"{part.address}@{stray.offset}, route {stray.route}: a claim of {stray.event_id}, which is not the event there"
        for stray in part.strays[:_SHOWN]
    ]
    if part.stray_count > _SHOWN:
        lines.append(f"{part.address}: {part.stray_count} such claims in all")
    return lines
