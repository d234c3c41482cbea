"""`inbox run`: the sink."""

from pathlib import Path

import click

from inbox import app
from inbox.cli.exits import DONE
from inbox.cli.options import config_option, example, properties_option, sink_settings
from inbox.cli.signals import Stop, stopped_by_signals
from inbox.settings import Settings


@click.command(epilog=example("inbox run --config inbox.toml -X bootstrap.servers=kafka:9092"))
@config_option
@properties_option
@click.option("--until-end", is_flag=True, help="Stop once every partition has reached the end it had at the start.")
def run(config: Path | None, properties: tuple[tuple[str, str], ...], until_end: bool) -> int:
    """Take events from Kafka into the database until SIGTERM or SIGINT."""
    settings = sink_settings(config, properties)
    stop = Stop()
    with stopped_by_signals(stop):
        return run_sink(settings, stop, until_end=until_end)


def run_sink(settings: Settings, stop: Stop, *, until_end: bool) -> int:
    ready = app.prepare(settings, stop)
    if ready is None:
        return DONE
    worker = app.make_worker(settings, ready, until_end=until_end)
    stop.then(worker.stop)
    worker.run()
    return DONE
