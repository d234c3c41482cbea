"""The command `inbox run`: it runs the sink."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import click

from inbox import __version__
from inbox.bootstrap.static_member import refuse_shared_instance
from inbox.cli.options import config_option, example, properties_option, settings_reader, sink_settings
from inbox.log_lines import log, log_with
from inbox.operations.check.id_advice import advice_on_keys
from inbox.process.aggregated_metrics import AggregatedMetrics
from inbox.process.exit_codes import DONE
from inbox.process.health import Health
from inbox.process.http import serving
from inbox.process.otlp_metrics import exporting
from inbox.process.secret_rotation import SecretRotation
from inbox.process.shutdown import Stop, stopped_by_signals
from inbox.process.supervisor import end_with_supervisor, reporting, supervise, worker_command
from inbox.process.worker_pool import WorkerPool
from inbox.telemetry import show_build


@click.command(epilog=example("inbox run --config inbox.toml -X bootstrap.servers=kafka:9092"))
@config_option
@properties_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="The number of worker processes; those beyond the number of partitions are spares.  [default: 1]",
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

    On SIGTERM or SIGINT the sink finishes or abandons the current batch, leaves the group and ends with 0. A second
    signal ends it immediately.
    """
    if worker is not None:
        log_with(worker=worker)
    settings = sink_settings(config, properties)
    refuse_shared_instance(settings, workers)
    for advice in advice_on_keys(settings) if worker is None else ():
        log().warning("event-id-advice", advice=advice)
    rotation = SecretRotation(settings, settings_reader(config, properties), os.environ, Path.cwd())
    stop = Stop()
    with stopped_by_signals(stop):
        if workers > 1:
            command = worker_command(config, properties, until_end=until_end)
            return _supervise(command, workers, rotation, stop, until_end=until_end)
        if supervised:
            end_with_supervisor()
        _work(rotation, stop, reports, until_end=until_end, line_wanted=sys.stderr.isatty() and not supervised)
    return DONE


def _work(rotation: SecretRotation, stop: Stop, reports: int | None, *, until_end: bool, line_wanted: bool) -> None:
    # Imported here: the worker's code is more than half of the memory, and a supervisor does without it.
    from inbox.bootstrap.tracing.spans import traced
    from inbox.cli.run_worker import WorkerRunner
    from inbox.kafka.clients import librdkafka_version

    health = Health()
    show_build(__version__, librdkafka_version())
    listen = rotation.settings.http_listen if reports is None else None
    # The supervisor exports the metrics of its workers, in one sum.
    environ = os.environ if reports is None else {}
    with serving(listen, health), exporting(environ), reporting(reports, health), traced(os.environ) as spans:
        work = WorkerRunner(stop, health, spans, until_end=until_end, line_wanted=line_wanted)
        if reports is None:
            work.run(rotation)
        else:  # the supervisor looks after the secrets
            work.run_once(rotation.settings)


def _supervise(command: Sequence[str], workers: int, rotation: SecretRotation, stop: Stop, *, until_end: bool) -> int:
    metrics, outdated = AggregatedMetrics(workers), Event()
    with (
        serving(rotation.settings.http_listen, metrics, metrics),
        exporting(os.environ, metrics),
        rotation.watching(outdated.set),
    ):
        return supervise(command, WorkerPool(workers, until_end=until_end), metrics, stop, outdated)
