"""The command `inbox relay`: it publishes the outbox to Kafka."""

import os
from pathlib import Path

import click

from inbox import __version__
from inbox.bootstrap.relay import make_relay, prepare_relay
from inbox.bootstrap.tracing.spans import traced
from inbox.cli.options import config_option, example, properties_option, relay_settings
from inbox.kafka.clients import librdkafka_version
from inbox.operations.retention.background import pruning_outbox
from inbox.process.exit_codes import DONE
from inbox.process.gc_tuning import freeze_startup_objects
from inbox.process.health import Health
from inbox.process.http import serving
from inbox.process.otlp_metrics import exporting
from inbox.process.shutdown import Stop, stopped_by_signals
from inbox.telemetry import show_build


@click.command(epilog=example("inbox relay --config inbox.toml -X bootstrap.servers=kafka:9092"))
@config_option
@properties_option
@click.option("--until-empty", is_flag=True, help="Stop once every event that is committed by then is sent.")
@click.option(
    "--transactional", is_flag=True, help="Send in transactions: readers of committed records never see half a batch."
)
def relay(config: Path | None, properties: tuple[tuple[str, str], ...], until_empty: bool, transactional: bool) -> int:
    """Send the outbox of this database to Kafka.

    Any number may run: one is active, and another takes over within ten seconds. On SIGTERM or SIGINT it waits for
    the events in flight and ends with 0. A second signal ends it immediately; events that were not recorded as sent
    are sent again, under the same id. Events that were sent longer ago than [retention] outbox are removed.
    """
    settings = relay_settings(config, properties)
    stop, health = Stop(), Health()
    show_build(__version__, librdkafka_version())
    with (
        stopped_by_signals(stop),
        serving(settings.http_listen, health),
        exporting(os.environ),
        traced(os.environ) as spans,
    ):
        if not prepare_relay(settings, stop):
            return DONE
        made = make_relay(settings, until_empty=until_empty, transactional=transactional, spans=spans)
        health.watch(made.progress)
        stop.then(made.stop)
        freeze_startup_objects()
        with pruning_outbox(settings.database, settings.retention, settings.outbox):
            made.run()
    return DONE
