"""The command `inbox history`: who changed what, and when."""

from datetime import datetime
from pathlib import Path

import click

from inbox.cli.arguments import moment
from inbox.cli.options import config_option, database_settings, example, json_option
from inbox.cli.output import is_screen, print_json, print_text
from inbox.cli.reports.history import action_json, actions_table, brief_row
from inbox.cli.tables import print_rows, print_table
from inbox.operations.actions import read_actions

_MOST = 100_000
_MOST_FOLDED = 4
"""The number of actions that fit a screen with all that they planned and did."""


@click.command(epilog=example("inbox history\ninbox history --since 8h --json"))
@config_option
@click.option("--last", default=20, type=click.IntRange(1, _MOST), metavar="N", help="The most lines; default: 20.")
@click.option(
    "--since", metavar="T", callback=moment, help="Only changes since this time, or within this duration, as 8h."
)
@json_option
def history(config: Path | None, last: int, since: datetime | None, as_json: bool) -> None:
    """List the changes that people made by commands, the newest last: who, when, the plan and the result.

    Each command that changes anything adds a line, even if it failed or was interrupted.
    """
    found = read_actions(database_settings(config).database, last=last, since=since)
    if as_json:
        print_json({"actions": [action_json(each) for each in found]})
    elif found:
        if len(found) > _MOST_FOLDED and is_screen():
            print_rows([brief_row(each) for each in found])
        else:
            print_table(actions_table(found))
    else:
        print_text("nobody has changed anything by a command" + (" since then" if since else " yet"))
