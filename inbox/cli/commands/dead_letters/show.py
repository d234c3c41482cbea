"""The commands `inbox dead-letters list`, `causes` and `show`: what is parked, and why."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from inbox.cli.arguments import selection_options
from inbox.cli.commands.dead_letters.options import report_unknown
from inbox.cli.options import (
    config_option,
    database_settings,
    example,
    json_option,
)
from inbox.cli.output import is_screen, print_json, print_lines, print_text
from inbox.cli.reports.causes import causes_json, causes_lines
from inbox.cli.reports.dead_letters import MOST_LISTED, brief_row, letter_json, letter_lines, letters_table
from inbox.cli.tables import print_rows, print_table
from inbox.operations.dead_letters.plan import read_causes, read_letters
from inbox.process.exit_codes import DONE
from inbox.store.inbox.dead_letter_queries import Letter, Selection


@click.command("list", epilog=example("inbox dead-letters list --topic orders --older-than 1h"))
@config_option
@selection_options(everything="Include those that were retried or discarded.")
@click.option("--payload", is_flag=True, help="Add key, value and headers as they came; only with --json.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_(config: Path | None, selection: Selection, everything: bool, payload: bool, as_json: bool) -> int:
    """List dead letters in the order of their keys: those with the IDs, or all open ones."""
    if payload and not as_json:
        raise click.UsageError("--payload needs --json; `inbox dead-letters show ID --payload` shows one to people")
    options = database_settings(config).database
    found = read_letters(options, selection, resolved_too=everything or selection.ids is not None, whole=payload)
    listed = _print_objects(found, payload=payload) if as_json else _print_people(list(found))
    return report_unknown([each for each in selection.ids or () if each not in listed])


def _print_objects(letters: Iterable[Letter], *, payload: bool) -> set[int]:
    listed = set()
    for letter in letters:
        listed.add(letter.dead_letter_id)
        print_json(letter_json(letter, payload=payload))
    return listed


def _print_people(letters: Sequence[Letter]) -> set[int]:
    if is_screen() and (rest := len(letters) - MOST_LISTED) > 0:
        print_rows([brief_row(each) for each in letters[:MOST_LISTED]])
        print_text(f"and {rest} more: `inbox dead-letters causes` groups them; --json, or a pipe, lists all")
    elif letters:
        print_table(letters_table(letters))
    else:
        print_text("no dead letter fits")
    return {letter.dead_letter_id for letter in letters}


@click.command(epilog=example("inbox dead-letters causes\ninbox dead-letters causes --json"))
@config_option
@json_option
def causes(config: Path | None, as_json: bool) -> int:
    """Group the parked events by the cause of their failure, the most frequent cause first.

    Errors that differ only in ids, numbers or quoted parts have one cause. `list`, `retry` and `discard` take a
    cause's id as --cause.
    """
    found = read_causes(database_settings(config).database)
    if as_json:
        print_json(causes_json(found))
    else:
        print_lines(causes_lines(found))
    return DONE


@click.command(epilog=example("inbox dead-letters show 17 --payload"))
@config_option
@click.argument("dead_letter_id", metavar="ID", type=int)
@click.option("--payload", is_flag=True, help="Show key, value and headers too, as they came.")
@json_option
def show(config: Path | None, dead_letter_id: int, payload: bool, as_json: bool) -> int:
    """Show one dead letter: its origin, its error, and what became of it."""
    options = database_settings(config).database
    selection = Selection(ids=(dead_letter_id,))
    for letter in read_letters(options, selection, resolved_too=True, whole=payload):
        if as_json:
            print_json(letter_json(letter, payload=payload))
        else:
            print_text("\n".join(letter_lines(letter, payload=payload, screen=is_screen())))
        return DONE
    return report_unknown([dead_letter_id])
