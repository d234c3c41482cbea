"""The commands `inbox dead-letters edit`, `redact` and `park`, which change what is parked."""

from pathlib import Path
from typing import IO

import click

from inbox.cli.arguments import selection_options, where
from inbox.cli.commands.dead_letters.options import execute_options, require_some
from inbox.cli.options import (
    config_option,
    database_settings,
    example,
    json_option,
    properties_option,
    sink_settings,
)
from inbox.cli.output import notice, print_json, print_lines
from inbox.cli.reports.dead_letter_plans import (
    edited_json,
    edited_lines,
    parking_json,
    parking_lines,
    redaction_json,
    redaction_lines,
)
from inbox.events import Header, TopicPartition
from inbox.operations.dead_letters.edit import EditRequest
from inbox.operations.dead_letters.edit import edit as edit_letter
from inbox.operations.dead_letters.park import ParkRequest
from inbox.operations.dead_letters.park import park as park_event
from inbox.operations.dead_letters.redact import redact as redact_letters
from inbox.process.exit_codes import DONE, FAILURE
from inbox.store.inbox.dead_letter_queries import Selection


@click.command(
    epilog=example(
        "inbox dead-letters edit 17 --value fixed.json\n"
        "inbox dead-letters edit 17 --value fixed.json --execute --by 'Ada, ticket 4711'"
    )
)
@config_option
@properties_option
@click.argument("dead_letter_id", metavar="ID", type=int)
@click.option(
    "--value", "file", metavar="FILE", type=click.File("rb"), help="The new value, byte for byte; - is stdin."
)
@click.option(
    "--header", "headers", metavar="K=V", multiple=True, help="A header, in place of all headers of this name."
)
@execute_options
@json_option
def edit(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    dead_letter_id: int,
    file: IO[bytes] | None,
    headers: tuple[str, ...],
    execute: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """Replace the value or headers of an open dead letter, and keep the original beside them.

    Without --execute it shows what a retry would do with the new value, in a transaction that is rolled back. The
    event keeps its id. `retry` applies it afterwards.
    """
    if file is None and not headers:
        raise click.UsageError("give --value FILE or --header K=V")
    request = EditRequest(
        dead_letter_id=dead_letter_id,
        value=None if file is None else file.read(),
        headers=tuple(_header(text) for text in headers),
    )
    edited = edit_letter(sink_settings(config, properties), request, execute=execute, by=by)
    if as_json:
        print_json(edited_json(edited, dead_letter_id))
    else:
        print_lines(edited_lines(edited))
    if edited.refusal is not None:
        notice(f"{edited.refusal}; nothing was changed")
        return FAILURE
    return DONE


@click.command(
    epilog=example(
        "inbox dead-letters redact --older-than 14d\ninbox dead-letters redact 17 18 --execute --by 'Ada, ticket 4711'"
    )
)
@config_option
@selection_options(everything="All that are resolved.")
@execute_options
@json_option
def redact(
    config: Path | None, selection: Selection, everything: bool, execute: bool, by: str | None, as_json: bool
) -> int:
    """Remove the payloads of dead letters for good: of those with the IDs, or of resolved ones that match the filters.

    Value, headers and the error's detail are removed, and the key too if the dead letter is resolved. The record
    that it was parked, and what became of it, stays. An open one can then be applied by a replay only.
    """
    require_some(selection, everything)
    done = redact_letters(database_settings(config).database, selection, execute=execute, by=by)
    if as_json:
        print_json(redaction_json(done))
    else:
        print_lines(redaction_lines(done))
    return DONE


def _header(text: str) -> Header:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter("expected K=V, as in type=OrderCreated", param_hint="--header")
    return name, value.encode(errors="surrogateescape")


@click.command(
    epilog=example(
        "inbox dead-letters park --topic orders:3 --offset 1842 --reason 'ticket 4711: its trigger fails'\n"
        "inbox dead-letters park --topic orders:3 --offset 1842 --reason 'ticket 4711' --execute"
    )
)
@config_option
@properties_option
@click.option("--topic", metavar="T:P", required=True, help="The topic and the partition, as in orders:3.")
@click.option("--offset", metavar="N", required=True, type=click.IntRange(min=0), help="The event's offset.")
@click.option("--reason", metavar="TEXT", required=True, help="The reason, which becomes the error of the dead letter.")
@click.option("--route", metavar="NAME", help="For this route alone; default: for all that take the event.")
@execute_options
@json_option
def park(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    topic: str,
    offset: int,
    reason: str,
    route: str | None,
    execute: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """Make a dead letter of an event that is not settled yet, so that its partition continues without it.

    The sink does not try the event. With order = "key" later events of its key wait behind it. `retry` and
    `discard` treat it like any other. The running sink follows within seconds, or the next one does when it starts.
    """
    name, partitions = where(topic)
    if partitions is None or len(partitions) != 1:
        raise click.UsageError("--topic names one partition here, as in orders:3")
    request = ParkRequest(at=TopicPartition(name, partitions[0]), offset=offset, reason=reason, route=route)
    parking = park_event(sink_settings(config, properties), request, execute=execute, by=by)
    if as_json:
        print_json(parking_json(parking))
    else:
        print_lines(parking_lines(parking))
    if parking.refusal is not None:
        notice(f"{parking.refusal}; nothing was changed")
        return FAILURE
    return DONE
