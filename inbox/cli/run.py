"""`inbox run`: the sink."""

import sys
from pathlib import Path

import click

from inbox import app
from inbox.app.health import Health
from inbox.cli.exits import DONE
from inbox.cli.live import LiveLine, shown
from inbox.cli.options import config_option, example, properties_option, sink_settings
from inbox.cli.signals import Stop, stopped_by_signals
from inbox.cli.supervisor import end_with_supervisor, environments, supervise, worker_command
from inbox.settings import Settings
from inbox.web import serving


@click.command(epilog=example("inbox run --config inbox.toml -X bootstrap.servers=kafka:9092"))
@config_option
@properties_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Processes of this sink; more than the topics have partitions are spare.  [default: 1]",
)
@click.option("--until-end", is_flag=True, help="Stop once every partition has reached the end it had at the start.")
@click.option("--supervised", is_flag=True, hidden=True)
def run(
    config: Path | None, properties: tuple[tuple[str, str], ...], workers: int, until_end: bool, supervised: bool
) -> int:
    """Take events from Kafka into the database.

    Runs until SIGTERM or SIGINT: then the batch at hand is finished or abandoned, the group is left, and the exit
    code is 0. A second signal ends it at once.
    """
    settings = sink_settings(config, properties)
    stop = Stop()
    with stopped_by_signals(stop):
        if workers > 1:
            command = worker_command(config, properties, until_end=until_end)
            return supervise(command, environments(workers, settings.http_listen), stop)
        if supervised:
            end_with_supervisor()
        return _work(settings, stop, until_end=until_end, line_wanted=sys.stderr.isatty() and not supervised)


def _work(settings: Settings, stop: Stop, *, until_end: bool, line_wanted: bool) -> int:
    line, health = LiveLine(), Health()
    with serving(settings.http_listen, health), shown(line, wanted=line_wanted):
        ready = app.prepare(settings, stop)
        if ready is None:
            return DONE
        worker = app.make_worker(settings, ready, until_end=until_end)
        health.watch(worker.progress)
        line.progress = worker.progress
        stop.then(worker.stop)
        worker.run()
    return DONE
