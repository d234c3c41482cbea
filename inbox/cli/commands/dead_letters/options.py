"""The options that several commands on dead letters share, and the messages about what is selected."""

from collections.abc import Sequence

import click

from inbox.cli.options import Command
from inbox.cli.output import notice
from inbox.process.exit_codes import DONE, FAILURE
from inbox.store.inbox.dead_letter_queries import Selection


def execute_options(command: Command) -> Command:
    """Add `--execute` and `--by` to a command."""
    execute = click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
    who = click.option(
        "--by", metavar="NAME", help="Who does it, for resolved_by; default: the OS user, host and database user."
    )
    return execute(who(command))


def require_some(selection: Selection, everything: bool) -> None:
    """Raise UsageError if nothing is selected and `--all` is not given."""
    if selection == Selection() and not everything:
        raise click.UsageError("name IDs, or a filter such as --topic, or --all")


def report_unknown(ids: Sequence[int]) -> int:
    """Say which IDs no dead letter has, and return the exit code."""
    if not ids:
        return DONE
    some = ", ".join(map(str, ids))
    notice(f"there is no dead letter {some}; `inbox dead-letters list --all` lists those that there are")
    return FAILURE
