"""Measure over a minute how exactly four workers keep the speed of their sink, and of a replay.

`make pace` runs it; on servers of your own: INBOX_TEST_KAFKA, INBOX_TEST_DATABASE. The exit code is 1 if a speed
differs by more than a twentieth.
"""

import os
import sys
import time

from inbox.cli.program import result_of
from tests.drill.alone import incident_alone, say
from tests.drill.incident import Incident, Order
from tests.support.waiting import eventually

WORKERS = 4
PER_SECOND, REPLAYED_PER_SECOND = 800, 600
SECONDS = float(os.environ.get("PACE_SECONDS", "60"))
MOST_OFF = 0.05
ORDERS_IN_ALL = 10 / 11
"""The part of the records that are orders: every tenth brings a payment."""


def settled(incident: Incident) -> tuple[float, int]:
    """Return the time by the database's clock, and how many offsets the ledger has as settled."""
    query = "SELECT extract(epoch FROM clock_timestamp())::float, sum(next_offset)::int FROM inbox.partitions"
    [(now, count)] = incident.sql(query)
    return float(now), int(count or 0)


def kept(incident: Incident, what: str, per_second: int) -> bool:
    """Measure the speed, and print it; return whether it is kept."""
    time.sleep(5.0)
    (began, before), ends = settled(incident), time.monotonic() + SECONDS
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(10.0, left))
        now, count = settled(incident)
        say(f"{what}: {(count - before) / (now - began):.1f} a second over {now - began:.0f} s; {per_second} are set")
    return abs((count - before) / (now - began) / per_second - 1) <= MOST_OFF


def measure(incident: Incident) -> bool:
    """Measure the sink's own speed, then a replay's."""
    with incident.sink("--workers", str(WORKERS)):
        incident.send_until(len(incident.orders))
        eventually(lambda: workers(incident) == WORKERS, within=60, what="every worker to own a partition")
        of_sink = kept(incident, "the sink", PER_SECOND)
        eventually(lambda: incident.settled() >= len(incident.orders), within=120, what="the end of the log")
        replayed = ("--topic", incident.topic, "--from-earliest", "--rate", f"{REPLAYED_PER_SECOND}/s", "--execute")
        assert result_of(["replay", *replayed, "--config", str(incident.config)]) == 0
        return kept(incident, "the replay", REPLAYED_PER_SECOND) and of_sink


def workers(incident: Incident) -> int:
    [(count,)] = incident.sql("SELECT count(DISTINCT owner)::int FROM inbox.partitions")
    return int(count)


def main() -> int:
    count = int(ORDERS_IN_ALL * PER_SECOND * (SECONDS + 10))
    orders = [Order(n, f"c-{n}") for n in range(count)]
    with incident_alone(orders, sink=f"max_events_per_second = {PER_SECOND}") as incident:
        return 0 if measure(incident) else 1


if __name__ == "__main__":
    sys.exit(main())
