"""`inbox run`: the sink."""

import sys
from pathlib import Path

import click

from inbox import app
from inbox.app.gathering import Gathering
from inbox.app.health import Health
from inbox.app.survey import surveying
from inbox.cli.crew import Crew
from inbox.cli.exits import DONE
from inbox.cli.live import LiveLine, shown
from inbox.cli.options import config_option, example, properties_option, sink_settings
from inbox.cli.signals import Stop, stopped_by_signals
from inbox.cli.supervisor import end_with_supervisor, reporting, supervise, worker_command
from inbox.settings import Settings
from inbox.telemetry import log_with
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
@click.option("--worker", type=int, hidden=True)
@click.option("--reports", type=int, hidden=True)
def run(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    workers: int,
    until_end: bool,
    supervised: bool,
    worker: int | None,
    reports: int | None,
) -> int:
    """Take events from Kafka into the database.

    Runs until SIGTERM or SIGINT: then the batch at hand is finished or abandoned, the group is left, and the exit
    code is 0. A second signal ends it at once.
    """
    if worker is not None:
        log_with(worker=worker)
    settings = sink_settings(config, properties)
    stop = Stop()
    with stopped_by_signals(stop):
        if workers > 1:
            gathering = Gathering(workers)
            with serving(settings.http_listen, gathering, gathering):
                command = worker_command(config, properties, until_end=until_end)
                return supervise(command, Crew(workers, until_end=until_end), gathering, stop)
        if supervised:
            end_with_supervisor()
        health = Health()
        listen = settings.http_listen if reports is None else None
        with serving(listen, health), reporting(reports, health):
            return _work(settings, stop, health, until_end=until_end, line_wanted=not supervised)


def _work(settings: Settings, stop: Stop, health: Health, *, until_end: bool, line_wanted: bool) -> int:
    line = LiveLine()
    with shown(line, wanted=line_wanted and sys.stderr.isatty()):
        ready = app.prepare(settings, stop)
        if ready is None:
            return DONE
        worker = app.make_worker(settings, ready, until_end=until_end)
        health.watch(worker.progress)
        line.progress = worker.progress
        stop.then(worker.stop)
        with surveying(settings.database):
            worker.run()
    return DONE
