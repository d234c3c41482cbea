"""A worker of `inbox run`, with all that it needs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event

from inbox.bootstrap.startup import prepare
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.bootstrap.tracing.spans import Spans
from inbox.bootstrap.worker import make_worker
from inbox.operations.retention.background import pruning
from inbox.process.database_metrics import DatabaseMetrics
from inbox.process.gc_tuning import freeze_startup_objects
from inbox.process.health import Health
from inbox.process.secret_rotation import SecretRotation
from inbox.process.shutdown import Stop
from inbox.settings import Settings
from inbox.sink.worker.loop import Worker
from inbox.sink.worker.progress import WorkerProgress

Watching = Callable[[Worker], AbstractContextManager[None]]


def _watching(rotation: SecretRotation, outdated: Event, worker: Worker) -> AbstractContextManager[None]:
    def changed() -> None:
        outdated.set()
        worker.stop()

    return rotation.watching(changed)


def _status_line(*, wanted: bool) -> AbstractContextManager[Callable[[WorkerProgress], None]]:
    """Return the context of the line at the foot of a terminal, and the function that gives it a worker's figures."""
    if not wanted:
        return nullcontext(lambda _: None)
    # Imported here: rich draws the line, and no pod has one.
    from inbox.cli.status_line import live_line

    return live_line()


class WorkerRunner:
    """The work of this process: one worker, or one after the other."""

    def __init__(self, stop: Stop, health: Health, spans: Spans | None, *, until_end: bool, line_wanted: bool) -> None:
        self._stop = stop
        self._spans = spans
        self._health = health
        self._until_end = until_end
        self._line_wanted = line_wanted
        self._had_a_worker = False

    def run(self, rotation: SecretRotation) -> None:
        """Run one worker after the other, until one ends by itself or is stopped.

        Changed secrets end a worker in order, and the next one has the new secrets.
        """
        while True:
            outdated = Event()
            self.run_once(rotation.settings, partial(_watching, rotation, outdated))
            if self._stop.is_set() or not outdated.is_set():
                return
            self._health.restart()

    def run_once(self, settings: Settings, watching: Watching = lambda _: nullcontext()) -> None:
        """Run one worker until it is stopped, inside the context that `watching` makes for it."""
        with _status_line(wanted=self._line_wanted) as show:
            ready = prepare(settings, self._stop)
            if ready is None:
                return
            tracing = None if self._spans is None else SinkTracing(self._spans, settings.kafka.group_id)
            worker = make_worker(settings, ready, until_end=self._until_end, tracing=tracing)
            self._health.watch(worker.progress)
            show(worker.progress)
            self._stop.then(worker.stop)
            freeze_startup_objects(thaws=self._had_a_worker)
            self._had_a_worker = True
            metrics = DatabaseMetrics(settings.database, settings.outbox, worker.stop)
            with (
                metrics.refreshing(),
                pruning(settings.database, settings.retention, settings.outbox),
                watching(worker),
            ):
                worker.run()
            metrics.refuse_unusable_schema()
