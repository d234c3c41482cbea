"""From the relay to Debezium and back, by the how-to, while programs publish and a sink applies: once in effect."""

import time
from pathlib import Path

import psycopg
import pytest

from inbox.dev.backends import Servers
from tests.interop.capture import captured_outbox
from tests.interop.test_exactly_once import Writer, applied, running, settled, sink
from tests.interop.test_records import relay_until_empty
from tests.support.kafka_topics import create_topic
from tests.support.waiting import eventually

EVENTS, SOME = 12_000, 1_000
MAKE_SLOT = "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')"
IDLE = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = %s"


class PacedWriter(Writer):
    """Leaves moments in which the outbox is empty; that it stays a little ahead of the sink gives each of them work."""

    def _write(self, connection: psycopg.Connection) -> None:
        super()._write(connection)
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_a_switch_over_in_each_direction_loses_and_doubles_nothing(
    servers: Servers, tmp_path: Path, database_url: str
) -> None:
    topic = create_topic(servers.bootstrap_servers, partitions=4)
    with (
        psycopg.connect(database_url, autocommit=True) as effects,
        captured_outbox(servers.database_url, servers.bootstrap_servers, tmp_path) as outbox,
        outbox.worker(exactly_once_source_support="enabled") as connect,
    ):
        effects.execute("CREATE TABLE public.effects (event_id uuid, number integer)")
        connect.start()
        with sink(tmp_path / "inbox.toml", database_url, servers.bootstrap_servers, topic) as status:
            writer = PacedWriter(outbox.url, topic, lambda: applied(effects), events=EVENTS)
            with running("relay", outbox.relays_config()):
                writer.start()
                eventually(lambda: applied(effects) > SOME, within=60, what="events that the relay sent")
                outbox.execute(MAKE_SLOT, outbox.name)
            relay_until_empty(outbox)
            by_the_relay = applied(effects)

            connect.run(outbox.name, {**outbox.connector, "snapshot.mode": "no_data"})
            connect.run(outbox.name, outbox.connector)
            eventually(lambda: applied(effects) > by_the_relay + SOME, within=120, what="events that Debezium sent")
            connect.ask("PUT", f"/connectors/{outbox.name}/stop")
            eventually(lambda: outbox.execute(IDLE, outbox.name) == [(True,)], within=60, what="an idle slot")
            with running("relay", outbox.relays_config()):
                eventually(lambda: applied(effects) == EVENTS, within=120, what="the last events")
                eventually(lambda: settled(status()), within=60, what="lag 0")
        rows = effects.execute("SELECT event_id, number FROM public.effects").fetchall()

    assert len(rows) == EVENTS
    assert dict(rows) == writer.committed
