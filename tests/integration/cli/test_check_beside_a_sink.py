"""`inbox check` again and again beside a sink that is busy and whose partitions move."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.integration.cli.conftest import Result, Sink
from tests.integration.cli.test_check import problems
from tests.support.waiting import eventually

ROUNDS = int(os.environ.get("CHECK_ROUNDS", "6"))


@pytest.fixture
def load(sink: Sink) -> Iterator[Callable[[], int]]:
    """Orders arrive as long as the test runs; how many rounds of them."""
    over, rounds = threading.Event(), [0]

    def produce() -> None:
        while not over.is_set():
            sink.produce(200)
            rounds[0] += 1

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    yield lambda: rounds[0]
    over.set()
    thread.join(120)


def test_check_has_no_false_alarm_while_a_sink_settles_and_rebalances(
    sink: Sink,
    inbox: Callable[..., Result],
    start: Callable[..., "subprocess.Popen[str]"],
    load: Callable[[], int],
) -> None:
    first = start("run", sink)
    eventually(lambda: sum(sink.next_offsets().values()) > 0, what="a sink that settles")
    found = []
    for number in range(ROUNDS):
        before, produced = sink.next_offsets(), load()
        # Each second round another worker joins, takes a partition, and is killed without leaving the group.
        second = start("run", sink) if number % 2 == 0 else None
        found += [problems(inbox("check", "--json", sink)) for _ in range(2)]
        if second is not None:
            second.kill()
        eventually(lambda before=before: sink.next_offsets() != before, what="a ledger that moves")
        assert load() >= produced
    # This sink's login owns its schema, which is worth an advice at every time.
    assert [set(each) - {"rights beyond need"} for each in found] == [set()] * (2 * ROUNDS)
    assert first.poll() is None
