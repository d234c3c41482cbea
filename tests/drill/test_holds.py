"""A sink under load that is held and released again and again."""

import os
import time

import pytest

from inbox.cli.program import result_of
from tests.drill.conftest import MakeIncident
from tests.drill.incident import Incident, Order, SinkProcess
from tests.support.waiting import eventually

HOLDS = int(os.environ.get("HOLDS", "2"))
PER_SECOND = int(os.environ.get("HOLDS_PER_SECOND", "100"))
HELD_SECONDS = float(os.environ.get("HOLDS_SECONDS", "0"))
"""The time for which each hold lasts after the sink has taken it, so that events pile up."""
FULL_SPEED_SECONDS = float(os.environ.get("HOLDS_FULL_SPEED_SECONDS", "inf"))
"""The time after a release within which the sink has to have settled all that was sent until then."""

WITHIN_SECONDS, END_WITHIN_SECONDS = 120.0, 600.0
_CYCLE_SECONDS, _SPARE_SECONDS = 8, 60
"""The seconds for which the producers have orders."""
_DISTURBANCES = {"outage", "fenced", "assignment-lost", "revoked", "event-parked", "partitions-paused"}

pytestmark = [pytest.mark.timeout(1500), pytest.mark.long]


@pytest.fixture
def incident(make_incident: MakeIncident) -> Incident:
    count = (_SPARE_SECONDS + HOLDS * _CYCLE_SECONDS) * PER_SECOND
    return make_incident([Order(n, f"c-{n % 500}") for n in range(count)])


def inbox(incident: Incident, *arguments: str) -> None:
    assert result_of([*arguments, "--route", "orders", "--execute", "--config", str(incident.config)]) == 0


def held(incident: Incident) -> bool:
    """Return whether nothing was settled for half a second, although events wait."""
    settled = incident.settled()
    time.sleep(0.5)
    return incident.settled() == settled < incident.sent


def held_and_released(incident: Incident, process: SinkProcess) -> float:
    """Hold and release the route; return the seconds after the release until all that was sent is settled."""
    inbox(incident, "hold", "--reason", "a drill")
    eventually(lambda: held(incident), within=WITHIN_SECONDS, what="the hold to be taken")
    time.sleep(HELD_SECONDS)
    inbox(incident, "release")
    since, sent = time.monotonic(), incident.sent
    eventually(
        lambda: incident.settled() >= sent, within=WITHIN_SECONDS, what=f"all that was sent; {process.last_line()}"
    )
    return time.monotonic() - since


def test_a_sink_under_load_that_is_held_and_released_loses_nothing_and_stays_in_its_group(incident: Incident) -> None:
    with incident.sink() as process:
        incident.send_until(1)
        eventually(lambda: incident.settled() > 0, within=WITHIN_SECONDS, what="the sink to settle")
        with incident.sending(PER_SECOND):
            for number in range(HOLDS):
                took = held_and_released(incident, process)
                print(f"hold {number + 1} of {HOLDS}: caught up {took:.1f} s after the release", flush=True)
                assert took <= FULL_SPEED_SECONDS
        count = len(incident.orders)
        eventually(lambda: incident.settled() >= count, within=END_WITHIN_SECONDS, what="the end of the log")
        lines = process.lines()
    assert not _DISTURBANCES.intersection(lines)
    assert lines.count("assigned") == 1
    assert incident.wrong()[:3] == []
