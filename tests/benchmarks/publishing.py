"""What the outbox's trigger costs those who publish."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import psycopg

WRITERS, SECONDS, ROUNDS, STATEMENTS = 4, 2.0, 5, 2_000
INSERT = "INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload) VALUES (%s, 'none', '1', 'T', '{}')"
HOLD_BELL = "SELECT pg_advisory_lock(7597117850301497344 + 'inbox.outbox'::regclass::oid::bigint)"
"""As a relay that sleeps holds it: everyone who publishes notifies."""


def publishing(url: str) -> dict[str, float]:
    """Microseconds of a single-row INSERT in one long transaction, and commits a second of so many writers of one row
    each, both with and without the trigger, and with a relay that sleeps, whom each of them notifies."""
    ways: dict[str, Callable[[str], Iterator[None]]] = {
        "without_trigger": _no_trigger,
        "with_trigger": _as_it_is,
        "notifying": _asleep,
    }
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with contextmanager(way)(url):
                best[f"insert_us_{name}"] = min(best.get(f"insert_us_{name}", 1e9), _insert_us(url))
                best[f"commits_per_second_{name}"] = max(best.get(f"commits_per_second_{name}", 0), _commits(url))
    return {name: round(figure, 1) for name, figure in best.items()}


def _insert_us(url: str) -> float:
    with psycopg.connect(url) as connection:
        began = time.perf_counter()
        for _ in range(STATEMENTS):
            connection.execute(INSERT, (uuid4(),))
        took = time.perf_counter() - began
        connection.rollback()
    return 1e6 * took / STATEMENTS


def _commits(url: str) -> float:
    until = time.monotonic() + SECONDS
    counts = [0] * WRITERS

    def write(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while time.monotonic() < until:
                connection.execute(INSERT, (uuid4(),))
                counts[number] += 1

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return sum(counts) / SECONDS


def _as_it_is(url: str) -> Iterator[None]:
    yield


def _no_trigger(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE inbox.outbox DISABLE TRIGGER outbox_wake")
        yield
        connection.execute("ALTER TABLE inbox.outbox ENABLE TRIGGER outbox_wake")


def _asleep(url: str) -> Iterator[None]:
    with ExitStack() as opened:
        bell, listener = (opened.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(2))
        bell.execute(HOLD_BELL)
        row = bell.execute("SELECT 'inbox.outbox'::regclass::oid::bigint").fetchone()
        listener.execute(f"LISTEN inbox_outbox_{row[0] if row else 0}".encode())
        yield
