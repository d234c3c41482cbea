"""The command `inbox table`: what tables lack for their routes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from inbox.cli.options import config_option, example, json_option, properties_option, sample_option, sink_settings
from inbox.cli.output import print_json, print_lines
from inbox.operations.table_plan import RoutePlan
from inbox.operations.table_plan import plan as plan_of
from inbox.process.exit_codes import DONE, FAILURE


@click.group()
def table() -> None:
    """Keep the tables of routes in step with their events."""


@table.command(
    epilog=example("inbox table plan\nINBOX_DATABASE__URL=postgresql://owner@db/reporting inbox table plan --execute")
)
@config_option
@properties_option
@click.option("--route", metavar="R", help="The route; default: each route with a table.")
@sample_option
@click.option("--execute", is_flag=True, help="Add what loses nothing; without this only the plan is shown.")
@json_option
def plan(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    route: str | None,
    sample: int,
    execute: bool,
    as_json: bool,
) -> int:
    """Show what a table lacks for its route, and add what loses nothing.

    A sample of the events and the newest schema of each subject, or the schema_file of the route, say
    what it needs. New columns that may be NULL and wider types lose nothing. Anything else is left to a person, with
    the SQL. The output is SQL; no value is printed. Run it with the login of the table's owner; the
    sink may run meanwhile. The exit code is 1 if a person has to decide on something.
    """
    found = plan_of(sink_settings(config, properties), route=route, sample=sample, execute=execute)
    if as_json:
        print_json({"plans": [_as_json(each) for each in found]})
    else:
        print_lines(_lines(found))
    return FAILURE if any(each.drift.refused for each in found) else DONE


def _as_json(each: RoutePlan) -> dict[str, object]:
    return {
        "route": each.route,
        "table": each.table,
        "sampled": each.sampled,
        "schemas": list(each.schemas),
        "additive": [{"sql": change.sql, "why": change.why} for change in each.drift.additive],
        "refused": [{"sql": change.sql, "why": change.why} for change in each.drift.refused],
        "unused": dict(each.drift.unused),
        "unfilled": list(each.drift.unfilled),
        "executed": each.executed,
    }


def _lines(found: Sequence[RoutePlan]) -> Iterator[str]:
    for each in found:
        drift = each.drift
        yield f"-- route {each.route}, table {each.table}: {_looked_at(each)}"
        for change in drift.additive:
            yield f"{change.sql}  -- {change.why}"
        for change in drift.refused:
            yield f"-- for a person to decide: {change.why}"
            yield f"-- {change.sql}"
        if drift.unused:
            names = ", ".join(f"{name} ({count})" for name, count in drift.unused.items())
            yield f"-- members that fill no column (events): {names}"
        if drift.unfilled:
            yield f"-- columns that no event fills: {', '.join(drift.unfilled)}"
        if not drift.additive:
            yield "-- nothing can be added"
        elif each.executed:
            yield "-- done"
        else:
            yield "-- nothing was changed; add --execute to run this"


def _looked_at(each: RoutePlan) -> str:
    schemas = "".join(f", and {name}" for name in each.schemas)
    return f"looked at {each.sampled} rows{schemas}"
