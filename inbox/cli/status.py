"""`inbox status`: where the sink stands."""

from datetime import UTC
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table

from inbox.app.status import PartitionRow, Status, read_status
from inbox.cli.options import config_option, example, json_option, properties_option, sink_settings
from inbox.cli.printing import notice, print_json, print_table, timestamp

_UNKNOWN = "?"


@click.command(epilog=example("inbox status --json | jq .totals"))
@config_option
@properties_option
@json_option
def status(config: Path | None, properties: tuple[tuple[str, str], ...], as_json: bool) -> None:
    """Show how far each partition is and what was parked.

    Needs the database. When the brokers do not answer within a few seconds, end and lag are left open.
    """
    found = read_status(sink_settings(config, properties))
    for text in found.notices:
        notice(text)
    if as_json:
        print_json(document(found))
    else:
        print_table(_partitions(found))
        click.echo(_summary(found))


def document(found: Status) -> dict[str, Any]:
    """The status as `--json` prints it."""
    return {
        "sink": found.sink,
        "schema": found.schema,
        "partitions": [_partition(row) for row in found.partitions],
        "totals": {ending.value: count for ending, count in found.totals.by_ending().items()},
        "dead_letters": {"parked": found.parked, "waiting": found.waiting},
        "same_id_other_payload": found.same_id_other_payload,
        "horizon": timestamp(found.horizon),
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
    }


def _partitions(found: Status) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"sink {found.sink}, schema {found.schema}", title_justify="left")
    table.add_column("topic", overflow="fold")
    for name in ("partition", "next offset", "end offset", "lag"):
        table.add_column(name, justify="right")
    table.add_column("owner", overflow="fold")
    table.add_column("last progress (UTC)", overflow="fold")
    for row in found.partitions:
        table.add_row(*_cells(row))
    return table


def _cells(row: PartitionRow) -> list[str]:
    ledger = row.ledger
    numbers = [ledger.address.partition, ledger.next_offset, row.end_offset, row.lag]
    shown = [_UNKNOWN if number is None else str(number) for number in numbers]
    moment = ledger.last_progress_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return [ledger.address.topic, *shown, _member(ledger.owner), moment]


def _member(owner: str | None) -> str:
    """Host and process id; the random token behind them tells a reader nothing."""
    return "nobody yet" if owner is None else owner.rpartition(":")[0] or owner


def _summary(found: Status) -> str:
    totals = ", ".join(
        f"{count} {ending.value.replace('_', '-')}" for ending, count in found.totals.by_ending().items()
    )
    lags = [row.lag for row in found.partitions if row.lag is not None]
    lag = str(sum(lags)) if len(lags) == len(found.partitions) else _UNKNOWN
    text = f"lag {lag}; {totals}\ndead letters: {found.parked} parked, {found.waiting} waiting behind them"
    if found.same_id_other_payload:
        text += f"\n{found.same_id_other_payload} events bore the id of an applied event with another payload"
    return text
