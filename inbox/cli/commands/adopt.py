"""The command `inbox adopt`, for a table that already has rows."""

from pathlib import Path
from typing import Any

import click

from inbox.cli.options import config_option, example, json_option, properties_option, sink_settings
from inbox.cli.output import print_json, print_lines
from inbox.cli.progress import bar
from inbox.operations.adopt import Adoption, Request
from inbox.operations.adopt import adopt as adopt_table
from inbox.process.exit_codes import DONE


@click.command(
    epilog=example("inbox adopt --route orders --table public.orders --event-id-column event_id\n... --execute")
)
@config_option
@properties_option
@click.option("--route", required=True, metavar="NAME", help="The route whose events these are.")
@click.option("--table", required=True, metavar="TABLE", help="The table, or a view, with its schema if needed.")
@click.option("--event-id-column", required=True, metavar="COLUMN", help="The column that holds the event ids.")
@click.option("--topic", metavar="TOPIC", help="The topic of the events, if the route has several.")
@click.option("--source", metavar="TEXT", help="The events' ce_source, if their ids are unique within that.")
@click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
@json_option
def adopt(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    route: str,
    table: str,
    event_id_column: str,
    topic: str | None,
    source: str | None,
    execute: bool,
    as_json: bool,
) -> int:
    """Make claims of the event ids in a table that something else has filled until now.

    An event with one of these ids is then a duplicate, and is not applied. If the command is interrupted, run it
    again: it skips the ids that are claimed already.
    """
    request = Request(route=route, table=table, column=event_id_column, topic=topic, source=source)
    with bar("adopting" if execute else "counting") as watch:
        found = adopt_table(sink_settings(config, properties), request, execute=execute, watch=watch)
    if as_json:
        print_json(document(found))
    else:
        print_lines(_lines(found))
    return DONE


def document(found: Adoption) -> dict[str, Any]:
    """Return the adoption as `--json` prints it."""
    return {
        "route": found.request.route,
        "table": found.request.table,
        "event_id_column": found.request.column,
        "executed": found.executed,
        "rows": found.rows.rows,
        "null": found.rows.nulls,
        "no_id": found.rows.empty,
        "duplicates": found.duplicates,
        "ids": found.ids,
        "claimed": found.claimed,
        "adopted": found.adopted,
    }


def _lines(found: Adoption) -> list[str]:
    rows, request = found.rows, found.request
    lines = [f"{request.table}: {rows.rows} rows, {found.ids} different event ids in {request.column}"]
    if rows.nulls:
        lines.append(f"  {rows.nulls} rows have none (null): their events are applied if they come")
    if rows.empty:
        lines.append(
            f"  {rows.empty} rows have an empty text, which is not an id: their events are applied if they come"
        )
    if found.duplicates:
        lines.append(f"  {found.duplicates} rows have the id of another row")
    if found.claimed:
        lines.append(f"  {found.claimed} are claimed by route {request.route} already")
    if found.executed:
        return [*lines, f"{found.adopted} claims were made for route {request.route}"]
    return [
        *lines,
        f"{found.adopted} claims would be made for route {request.route}",
        "nothing was changed; add --execute to do it",
    ]
