"""Measure what an incident waits for: the causes of so many dead letters, and a retry of so many keys.

`make drill-rates` runs it; on servers of your own: INBOX_TEST_KAFKA, INBOX_TEST_DATABASE. The exit code is 1 if a
figure is not reached.
"""

import io
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

from inbox.cli.program import result_of
from tests.drill.alone import incident_alone, say
from tests.drill.incident import FIX, Incident, SinkProcess, Size, orders_of
from tests.support.waiting import eventually

SIZE = Size(events=10_200, poison=5_000, keys=5_000)
WITHIN_SECONDS = 400.0
CAUSES_SECONDS, KEYS_PER_SECOND = 1.0, 1000.0
"""What an incident may wait for the causes, and has to have of a retry."""


def measured(what: str, config: Path, *arguments: str) -> float:
    """Run a command and print how long it takes, and how much of that this process worked: the machine may be busy."""
    since, worked, out = time.monotonic(), time.process_time(), io.StringIO()
    with redirect_stdout(out):
        result_of([*arguments, "--config", str(config)])
    seconds = time.monotonic() - since
    worked = time.process_time() - worked
    say(f"{what}: {seconds:.2f} s, {worked:.2f} s of work; {out.getvalue().strip().splitlines()[-1]}")
    return seconds


def measure(incident: Incident) -> bool:
    """Measure while the sink runs and its producer sends; return whether it is quick enough."""
    incident.send_half()
    ends = dict(incident.ends)
    with incident.sink() as process, incident.sending(per_second=50):
        await_poison(incident, process, ends)
        [(parked,)] = incident.sql("SELECT count(*)::int FROM inbox.dead_letters WHERE state = 'parked'")
        causes = measured(f"causes of {parked} parked events", incident.config, "dead-letters", "causes")
        incident.sql(FIX)
        error = ("--error", "orders_currency_check")
        [(keys,)] = incident.sql("SELECT count(*)::int FROM inbox.dead_letters WHERE cause_kind = 'constraint'")
        plan = measured(f"plan for {keys} keys", incident.config, "dead-letters", "retry", *error)
        seconds = measured(f"retry of {keys} keys", incident.config, "dead-letters", "retry", *error, "--execute")
        rate = keys / seconds
        say(f"{rate:.0f} keys a second, with the plan; {keys / max(seconds - plan, 0.01):.0f} without it")
    return causes < CAUSES_SECONDS and rate >= KEYS_PER_SECOND


def await_poison(incident: Incident, process: SinkProcess, ends: Mapping[int, int]) -> None:
    """Wait until every order that cannot be applied is a dead letter, and tell how far the sink is."""
    since, told = time.monotonic(), 0

    def passed() -> bool:
        nonlocal told
        count = incident.open_letters()
        if count >= told + SIZE.poison // 5:
            told = count
            say(f"{count} of {SIZE.poison} orders are parked after {time.monotonic() - since:.0f} s")
        return incident.has_passed(ends)

    try:
        eventually(passed, within=WITHIN_SECONDS, what="the poison to be parked")
    except AssertionError:
        say(process.last_line())
        raise


def main() -> int:
    with incident_alone(orders_of(SIZE)) as incident:
        return 0 if measure(incident) else 1


if __name__ == "__main__":
    sys.exit(main())
