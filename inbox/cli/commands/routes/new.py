"""The command `inbox new`: from a topic to a table and a route."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inbox.cli.commands.routes.new_handler import handler
from inbox.cli.options import config_option, example, json_option, properties_option, sample_option, server_settings
from inbox.cli.output import notice, print_json, print_text
from inbox.errors import StartupError
from inbox.process.exit_codes import DONE

if TYPE_CHECKING:
    from inbox.operations.new_route.propose import Proposed


@click.group()
def new() -> None:
    """Create a table and a route that fit a topic, or a package with a handler."""


new.add_command(handler)


@new.command(
    epilog=example(
        "inbox new route --topic orders\n"
        "inbox new route --topic orders --only table | psql inventory\n"
        "inbox new route --topic orders --only route >> inbox.toml\n"
        "inbox new route --topic orders --execute && inbox check"
    )
)
@config_option
@properties_option
@click.option("--topic", required=True, metavar="T", help="The topic.")
@sample_option
@click.option("--subject", metavar="S", help="Take the columns from the newest schema of this subject.")
@click.option("--schema-file", metavar="FILE", help="Take the columns from this schema; the values have no schema ids.")
@click.option("--message", metavar="NAME", help="The Protobuf message; default: the one that the events name.")
@click.option("--table", metavar="NAME", help="The table; default: public, and the topic's name.")
@click.option("--only", type=click.Choice(["table", "route"]), help="Print the SQL alone, or the TOML alone.")
@click.option("--execute", is_flag=True, help="Create the table, and append the route to the configuration.")
@json_option
def route(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    topic: str,
    sample: int,
    subject: str | None,
    schema_file: str | None,
    message: str | None,
    table: str | None,
    only: str | None,
    execute: bool,
    as_json: bool,
) -> int:
    """Print a CREATE TABLE and a [[routes]] block for a topic.

    The columns, their types and units, the key, the format and the envelope come from a sample of the
    events and from their schema, if they have one. No value is printed. Uncertain parts are comments.
    The output is SQL, with the route in SQL comments, so that it can be piped into psql as a
    whole. Needs only [kafka] and, for --execute, [database] url.
    """
    from inbox.operations.new_route.propose import Request, propose, require_new
    from inbox.operations.new_route.propose import execute as write
    from inbox.operations.new_route.source import Naming

    settings = server_settings(config, properties)
    if subject is not None and schema_file is not None:
        raise click.UsageError("--subject and --schema-file name two schemas; give one of them")
    named = Naming(subject=subject, schema_file=schema_file, message=message)
    found = propose(settings, Request(topic=topic, sample=sample, named=named, table=table))
    require_new(settings, found.proposal.table)
    if execute:
        if settings.database is None:
            raise StartupError("database.url: missing; --execute creates the table there")
        write(settings.database, settings.file, found)
    if as_json:
        print_json(_as_json(topic, found, executed=execute))
        return DONE
    looked = f"looked at {found.sampled} of {found.total} events of topic {topic}"
    if only == "table":
        print_text(found.table_sql)
    elif only == "route":
        print_text(found.route_toml, nl=False)
    else:
        print_text(_both(looked, found.table_sql, found.route_toml))
    if execute:
        notice(f"created {found.proposal.table} and added the route to {settings.file}; next: inbox check")
    elif sys.stdout.isatty() or only:
        notice(f"{looked}; nothing was changed; add --execute to create the table and the route")
    return DONE


def _as_json(topic: str, found: "Proposed", *, executed: bool) -> dict[str, object]:
    return {
        "topic": topic,
        "table": found.proposal.table,
        "sampled": found.sampled,
        "unreadable": found.unreadable,
        "sql": found.table_sql,
        "route": found.route_toml,
        "executed": executed,
    }


def _both(looked: str, sql: str, route_toml: str) -> str:
    """Return SQL with the route in comments."""
    lines = [f"-- {looked}", sql, "", "-- The route, for the end of inbox.toml (without the dashes):"]
    lines += [f"-- {line}".rstrip() for line in route_toml.rstrip().splitlines()]
    return "\n".join(lines)
