"""Claims by the million, made on the server as a sink would have left them after a long time."""

import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString, cast

import psycopg

from inbox.store.inbox.filters.claim_filters import GenerationFilters
from inbox.store.inbox.generations import Generations
from inbox.store.postgres.connection import Connection
from inbox.store.schema.names import GENERATION_SLOTS, table_of

MILLISECONDS_A_CLAIM = 10

RANDOM = "gen_random_uuid()"
# Version 7: 48 bits of milliseconds, 4 of the version, 2 of the variant, the others random (RFC 9562, 5.7).
TIME_ORDERED = """encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send(%(first_ms)s + n * %(step_ms)s) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid"""

_INSERT = """
INSERT INTO inbox.{table} (event_id, kafka_offset, payload_hash, partition_id, route_id)
SELECT {event_id}, n, 4711, 1, 1 FROM generate_series(1::bigint, %(count)s) AS n
"""


def uuid7() -> uuid.UUID:
    """As a producer makes them: the milliseconds of now in front."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & ~(0xF << 76) & ~(3 << 62)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | random)


@dataclass(frozen=True)
class Kind:
    """How producers make ids; `fill_factor`: how full the pages are of an index to which they were added one by one."""

    name: str
    new_id: Callable[[], uuid.UUID]
    on_server: str
    fill_factor: int


RANDOM_IDS = Kind("random ids", uuid.uuid4, RANDOM, 70)
TIME_ORDERED_IDS = Kind("time-ordered ids", uuid7, TIME_ORDERED, 90)


def shares(claims: int) -> list[int]:
    """All generations but one closed, and the youngest half grown: what there is on average."""
    whole = round(claims / (GENERATION_SLOTS - 0.5))
    return [whole] * (GENERATION_SLOTS - 1) + [claims - (GENERATION_SLOTS - 1) * whole] if claims else [0]


def pile_up(connection: Connection, kind: Kind, counts: Sequence[int]) -> float:
    """Generations of so many claims each, the oldest first; the seconds that it took to build their filters.

    The sink has started there before, and is in its first generation.
    """
    generations, filters, seconds = Generations(connection, "inbox"), GenerationFilters(connection, "inbox"), 0.0
    connection.execute("SET statement_timeout = 0")
    for number, count in enumerate(counts):
        add(connection, kind, number, count, ago=sum(counts[number + 1 :]))
        if number < len(counts) - 1:
            generations.switch(number)
            began = time.perf_counter()
            filters.build(number)
            seconds += time.perf_counter() - began
    return seconds


def regrow(connection: psycopg.Connection, kind: Kind, counts: Sequence[int]) -> None:
    """The youngest generation as `pile_up` left it, without what runs of a sink have added."""
    youngest = len(counts) - 1
    _execute(connection, f"TRUNCATE ONLY inbox.{table_of(youngest)}")
    add(connection, kind, youngest, counts[youngest], ago=0)


def add(connection: psycopg.Connection, kind: Kind, generation: int, count: int, *, ago: int = 0) -> None:
    """Into one generation, after which `ago` other claims were made; its index is created again, which is quicker."""
    if count <= 0:
        return
    table = table_of(generation)
    first = time.time_ns() // 1_000_000 - (count + ago) * MILLISECONDS_A_CLAIM
    parameters = {"count": count, "first_ms": first, "step_ms": MILLISECONDS_A_CLAIM}
    _execute(connection, f"ALTER TABLE inbox.{table} DROP CONSTRAINT {table}_pkey")
    insert = _INSERT.format(table=table, event_id=kind.on_server)
    connection.execute(cast(LiteralString, insert), parameters)
    _execute(
        connection,
        f"ALTER TABLE inbox.{table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (event_id, route_id)"
        f" WITH (fillfactor = {kind.fill_factor})",
    )
    _execute(connection, f"VACUUM (ANALYZE) inbox.{table}")


def _execute(connection: psycopg.Connection, statement: str) -> None:
    connection.execute(cast(LiteralString, statement))
