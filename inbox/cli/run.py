"""`inbox run`: the sink."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from threading import Event

import click

from inbox import app
from inbox.app.gathering import Gathering
from inbox.app.health import Health
from inbox.app.pruning import pruning
from inbox.app.rotation import Rotation
from inbox.app.survey import Survey
from inbox.app.tracing import Tracing, traced
from inbox.cli.collector import spare_what_stays
from inbox.cli.crew import Crew
from inbox.cli.exits import DONE
from inbox.cli.live import LiveLine, shown
from inbox.cli.options import config_option, example, properties_option, settings_reader, sink_settings
from inbox.cli.signals import Stop, stopped_by_signals
from inbox.cli.supervisor import end_with_supervisor, reporting, supervise, worker_command
from inbox.settings import Settings
from inbox.sink.worker import Worker
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
    rotation = Rotation(settings, settings_reader(config, properties), os.environ, Path.cwd())
    stop = Stop()
    with stopped_by_signals(stop):
        if workers > 1:
            command = worker_command(config, properties, until_end=until_end)
            return _supervise(command, workers, rotation, stop, until_end=until_end)
        if supervised:
            end_with_supervisor()
        health = Health()
        listen = settings.http_listen if reports is None else None
        line_wanted = sys.stderr.isatty() and not supervised
        with serving(listen, health), reporting(reports, health), traced(os.environ) as tracing:
            work = _Work(stop, health, tracing, until_end=until_end, line_wanted=line_wanted)
            if reports is None:
                work.go_on(rotation)
            else:  # the supervisor looks after the secrets
                work.once(settings)
    return DONE


def _supervise(command: Sequence[str], workers: int, rotation: Rotation, stop: Stop, *, until_end: bool) -> int:
    gathering, outdated = Gathering(workers), Event()
    with serving(rotation.settings.http_listen, gathering, gathering), rotation.watching(outdated.set):
        return supervise(command, Crew(workers, until_end=until_end), gathering, stop, outdated)


Watching = Callable[[Worker], AbstractContextManager[None]]


def _watching(rotation: Rotation, outdated: Event, worker: Worker) -> AbstractContextManager[None]:
    def changed() -> None:
        outdated.set()
        worker.stop()

    return rotation.watching(changed)


class _Work:
    """A worker in this process."""

    def __init__(
        self, stop: Stop, health: Health, tracing: Tracing | None, *, until_end: bool, line_wanted: bool
    ) -> None:
        self._stop = stop
        self._tracing = tracing
        self._health = health
        self._until_end = until_end
        self._line_wanted = line_wanted

    def go_on(self, rotation: Rotation) -> None:
        """One worker after the other: changed secrets end one in order, and the next one has the new ones."""
        while True:
            outdated = Event()
            self.once(rotation.settings, partial(_watching, rotation, outdated))
            if self._stop.is_set() or not outdated.is_set():
                return
            self._health.begin_anew()

    def once(self, settings: Settings, watching: Watching = lambda _: nullcontext()) -> None:
        """One worker, until it is stopped; while it runs, what `watching` makes of it is entered."""
        line = LiveLine()
        with shown(line, wanted=self._line_wanted):
            ready = app.prepare(settings, self._stop)
            if ready is None:
                return
            worker = app.make_worker(settings, ready, until_end=self._until_end, tracing=self._tracing)
            self._health.watch(worker.progress)
            line.progress = worker.progress
            self._stop.then(worker.stop)
            spare_what_stays()
            survey = Survey(settings.database, settings.outbox, worker.stop)
            with survey.going_on(), pruning(settings.database, settings.retention, settings.outbox), watching(worker):
                worker.run()
            survey.refuse_misfit()
