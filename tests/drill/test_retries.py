"""Parked events that the running sink tries again by itself, while its processes are killed and its groups change."""

import os

import pytest

from tests.drill.conftest import MakeIncident
from tests.drill.incident import FIX, Incident, Order, SinkProcess
from tests.support.waiting import eventually

EVENTS = int(os.environ.get("RETRIES_EVENTS", "400"))
"""The number of events that are parked, or wait behind a parked one."""
KILLS = int(os.environ.get("RETRIES_KILLS", "1"))
EVENTS_OF_A_KEY = 10
WITHIN_SECONDS = 600.0

REST = "[failures]\nretry_after = [" + 100 * '"1s", ' + "]"
"""A try that a kill cuts short is not repeated, so there are more than kills."""

pytestmark = [pytest.mark.timeout(1500), pytest.mark.long]


def orders() -> list[Order]:
    """Return orders of which every second is of a key whose first is in a currency that the table refuses."""
    keys, found = EVENTS // EVENTS_OF_A_KEY, list[Order]()
    for n in range(EVENTS):
        found.append(Order(2 * n, f"good-{n % keys}"))
        found.append(Order(2 * n + 1, f"poor-{n % keys}", currency="SEK" if n < keys else "EUR"))
    return found


@pytest.fixture
def incident(make_incident: MakeIncident) -> Incident:
    return make_incident(orders(), rest=REST)


def killed(incident: Incident, processes: list[SinkProcess]) -> None:
    """Kill one process after the other whenever a part of the events is retried, and start another in its place."""
    total = incident.open_letters()
    for number in range(1, KILLS + 1):
        left = total * (KILLS + 1 - number) // (KILLS + 1)
        eventually(lambda left=left: incident.open_letters() <= left, within=WITHIN_SECONDS, what="retries")  # type: ignore[misc]
        processes[number % len(processes)].kill()
        processes[number % len(processes)] = process = incident.start()
        eventually(lambda process=process: "assigned" in process.lines(), within=WITHIN_SECONDS, what="a member")  # type: ignore[misc]
        print(f"killed {number} of {KILLS}; {incident.open_letters()} events are open", flush=True)


def test_each_key_is_retried_in_order_and_once_under_kills_and_rebalances(incident: Incident) -> None:
    incident.send_half()
    with incident.sink() as first:
        second = incident.start()
        eventually(
            lambda: incident.settled() >= EVENTS and incident.open_letters() >= EVENTS // 2,
            within=WITHIN_SECONDS,
            what="the poison to be parked",
        )
        incident.sql(FIX)
        with incident.sending(per_second=EVENTS / 10):
            killed(incident, [first, second])
        eventually(lambda: incident.settled() >= 2 * EVENTS, within=WITHIN_SECONDS, what="the end of the log")
        eventually(lambda: incident.open_letters() == 0, within=WITHIN_SECONDS, what="the last key")
    assert incident.sql("SELECT DISTINCT resolved_by FROM inbox.dead_letters") == [("[failures] retry_after",)]
    assert incident.wrong()[:3] == []
