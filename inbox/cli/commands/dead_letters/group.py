"""The command `inbox dead-letters`: the parked events, shown, resolved and repaired."""

import click

from inbox.cli.commands.dead_letters.repair import edit, park, redact
from inbox.cli.commands.dead_letters.resolve import discard, retry
from inbox.cli.commands.dead_letters.show import causes, list_, show
from inbox.cli.options import example


@click.group("dead-letters", epilog=example("inbox dead-letters causes\ninbox dead-letters retry --cause 9c41f0aa"))
def dead_letters() -> None:
    """Inspect, retry or discard the events that could not be applied."""


for command in (list_, causes, show, retry, discard, edit, redact, park):
    dead_letters.add_command(command)
