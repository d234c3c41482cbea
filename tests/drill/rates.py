"""Measure what an incident waits for: the causes of so many dead letters, and a retry of so many keys.

Run it on servers of your own: INBOX_TEST_KAFKA, INBOX_TEST_DATABASE.
"""

import io
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

from inbox.cli.program import result_of
from tests.drill.incident import Incident, Size
from tests.support.databases import create_database, drop_database
from tests.support.ground import laid, prepare_template
from tests.support.kafka_topics import create_topic, delete_topic, unique_name
from tests.support.waiting import eventually

PARTITIONS = 4
SIZE = Size(events=10_000, poison=5_000, keys=5_000)
WITHIN_SECONDS = 600.0
FIX = (
    "ALTER TABLE orders DROP CONSTRAINT orders_currency_check, "
    "ADD CONSTRAINT orders_currency_check CHECK (currency IN ('EUR', 'USD', 'SEK'))"
)


def measured(what: str, config: Path, *arguments: str) -> float:
    """Run a command and print how long it takes."""
    since, out = time.monotonic(), io.StringIO()
    with redirect_stdout(out):
        result_of([*arguments, "--config", str(config)])
    seconds = time.monotonic() - since
    print(f"{what}: {seconds:.2f} s; {out.getvalue().strip().splitlines()[-1]}")
    return seconds


def measure(incident: Incident) -> None:
    """Measure while the sink runs and its producer sends."""
    incident.send_half()
    with incident.sink(), incident.sending(per_second=50):
        half = SIZE.events // 2
        eventually(lambda: incident.settled() >= half, within=WITHIN_SECONDS, what="the poison")
        [(parked,)] = incident.sql("SELECT count(*)::int FROM inbox.dead_letters WHERE state = 'parked'")
        measured(f"causes of {parked} parked events", incident.config, "dead-letters", "causes")
        incident.sql(FIX)
        error = ("--error", "orders_currency_check")
        [(keys,)] = incident.sql("SELECT count(*)::int FROM inbox.dead_letters WHERE cause_kind = 'constraint'")
        measured(f"plan for {keys} keys", incident.config, "dead-letters", "retry", *error)
        seconds = measured(f"retry of {keys} keys", incident.config, "dead-letters", "retry", *error, "--execute")
        print(f"{keys / seconds:.0f} keys a second")


def main() -> None:
    with laid(lambda text: print(text, file=sys.stderr)) as ground, tempfile.TemporaryDirectory() as directory:
        servers, name = ground.servers, unique_name("rates")
        topics = [create_topic(servers.bootstrap_servers, None, PARTITIONS) for _ in range(2)]
        url = create_database(servers.database_url, name)
        prepare_template(url)
        try:
            measure(
                Incident(
                    Path(directory),
                    SIZE,
                    orders=topics[0],
                    payments=topics[1],
                    url=url,
                    servers=servers.bootstrap_servers,
                )
            )
        finally:
            drop_database(servers.database_url, name)
            for topic in topics:
                delete_topic(servers.bootstrap_servers, topic)


if __name__ == "__main__":
    main()
