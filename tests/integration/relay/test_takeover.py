"""A relay that is stopped or killed is replaced within ten seconds, and one that continues does no harm."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from confluent_kafka import Message

from tests.integration.relay.conftest import MakeStage, Stage, read_all
from tests.support.relay.external_table import MakeExistingStage, make_existing_stage  # noqa: F401 - a fixture
from tests.support.relay.processes import Relays, relays
from tests.support.waiting import eventually

TAKEN_OVER_SECONDS = 10.0
STILL_ARRIVES_SECONDS = 1.0
BROKERS_CLOCK = {"message_timestamp_type": "LogAppendTime"}
DOCUMENT = """
[database]
url = "{stage.database_url}"
[kafka]
"bootstrap.servers" = "{stage.bootstrap_servers}"
[outbox]
transactional_id = "{stage.outbox.transactional_id}"
{more}
"""


@contextmanager
def writing(stage: Stage) -> Iterator[Callable[[], list[str]]]:
    """Events of one key meanwhile, each in a transaction of its own; gives their payloads, once it is over."""
    over, written = threading.Event(), list[str]()

    def write() -> None:
        with stage.connect() as connection:
            while not over.wait(0.002):
                payload = str(len(written))
                stage.publish(payload, on=connection)
                connection.commit()
                written.append(payload)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lambda: written
    finally:
        over.set()
        thread.join()


def committed(stage: Stage) -> list[Message]:
    return read_all(stage.bootstrap_servers, stage.topic, **{"isolation.level": "read_committed"})


def values(records: list[Message]) -> list[str]:
    return [(record.value() or b"").decode() for record in records]


def sends_again(stage: Stage) -> None:
    """Something new arrives."""
    before = len(set(values(committed(stage))))
    eventually(lambda: len(set(values(committed(stage)))) > before, what="events that a relay sends")


def replaced_within_ten_seconds(stage: Stage, since: float) -> None:
    """Check that the successor's first record reached the broker in time, by the broker's clock."""
    arrived = [record.timestamp()[1] / 1000 for record in committed(stage)]
    # What the predecessor had written to its sockets, the broker may still append.
    silent = [seconds - since for seconds in arrived if seconds > since + STILL_ARRIVES_SECONDS]
    assert min(silent) < TAKEN_OVER_SECONDS


def replaced_twice(stage: Stage, made: Relays) -> None:
    one, other = made.start(), made.start()
    with writing(stage) as written:
        first = made.active(one, other)
        second = other if first is one else one
        eventually(lambda: len(committed(stage)) > 100, what="a hundred events")

        stopped_at = time.time()
        first.send_signal(signal.SIGSTOP)
        assert made.active(second) is second
        sends_again(stage)
        replaced_within_ten_seconds(stage, stopped_at)
        first.send_signal(signal.SIGCONT)
        eventually(made.knows_that_it_was_replaced, what="a relay that knows that it was replaced")
        assert made.active(second) is second
        sends_again(stage)

        killed_at = time.time()
        second.kill()
        assert made.active(first) is first
        sends_again(stage)
        replaced_within_ten_seconds(stage, killed_at)
    stage.all_sent()
    found = values(committed(stage))
    assert list(dict.fromkeys(found)) == written()
    assert max(Counter(found).values()) <= 3, "once for each of its lives"


def test_a_stopped_and_a_killed_relay_are_replaced_within_ten_seconds(make_stage: MakeStage, tmp_path: Path) -> None:
    stage = make_stage(**BROKERS_CLOCK)
    document = DOCUMENT.format(stage=stage, more="")

    with relays(tmp_path, document, stage.database_url, "outbox_relay", []) as made:
        replaced_twice(stage, made)

    ids = stage.first_ids()
    assert ids == [UUID(str(row[0])) for row in stage.rows("SELECT event_id FROM inbox.outbox ORDER BY position")]


def test_so_are_those_of_a_table_of_the_users_in_transactions(
    make_existing_stage: MakeExistingStage,  # noqa: F811
    tmp_path: Path,
) -> None:
    stage = make_existing_stage(**BROKERS_CLOCK)
    more = f'table = "public.events_out"\ntopic = "{stage.topic}"'
    document = DOCUMENT.format(stage=stage, more=more)

    with relays(tmp_path, document, stage.database_url, "relay_leases", ["--transactional"]) as made:
        replaced_twice(stage, made)


def test_a_relay_that_is_stopped_while_it_marks_rows_keeps_nobody_out(
    make_existing_stage: MakeExistingStage,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The server has all of its work, which it commits without the relay."""
    stage = make_existing_stage()
    more = f'table = "public.events_out"\ntopic = "{stage.topic}"'
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'public.events_out'::regclass"

    with relays(tmp_path, DOCUMENT.format(stage=stage, more=more), stage.database_url, "relay_leases", []) as made:
        one, other = made.start(), made.start()
        first = made.active(one, other)
        with stage.unmarkable():
            eventually(lambda: stage.rows(waiting), what="a relay that marks")
            first.send_signal(signal.SIGSTOP)
        made.active(other if first is one else one)
