"""The command `inbox status`: it shows the position of the sink."""

from pathlib import Path

import click

from inbox.cli.options import config_option, example, json_option, properties_option, sink_settings
from inbox.cli.output import is_screen, notice, print_json, print_lines, print_text
from inbox.cli.reports.status import document, holds_lines, partitions_table, summary
from inbox.cli.reports.status_watch import watch_status
from inbox.cli.tables import print_table
from inbox.operations.status.status import read_status
from inbox.process.exit_codes import DONE
from inbox.process.shutdown import Stop, stopped_by_signals


@click.command(epilog=example("inbox status --json | jq .totals\ninbox status --watch"))
@config_option
@properties_option
@click.option("--watch", is_flag=True, help="Refresh it until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="The time between two refreshes.",
)
@json_option
def status(
    config: Path | None, properties: tuple[tuple[str, str], ...], watch: bool, interval: float, as_json: bool
) -> int:
    """Show the progress, lag and rate of each partition, and the dead letters.

    Needs the database. If the brokers do not answer within a few seconds, the figures that only they know stay
    unknown.
    """
    settings = sink_settings(config, properties)
    if watch:
        stop = Stop()
        with stopped_by_signals(stop):
            watch_status(lambda: read_status(settings), stop, interval_seconds=interval, as_json=as_json)
        return DONE
    found = read_status(settings)
    for text in found.notices:
        notice(text)
    if as_json:
        print_json(document(found))
    else:
        print_lines(holds_lines(found))
        print_table(partitions_table(found, screen=is_screen()))
        print_text(summary(found))
    return DONE
