"""What the modes of a table cost beside `upsert`: `merge` of partial events, and `for_each` over five lines.

Claims and rows are written as on the fast path, in transactions of 5,000 events, in turns. Counted is the CPU of this
process and of its backend, which other processes disturb least. The ratio is that of the best turns. New rows come
first, then events of the same rows again.
"""

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from inbox.dev.backends import servers
from inbox.reading.payload_hash import payload_hash
from inbox.store.inbox.claims import Claims, ClaimStore
from inbox.store.options import ColumnSource, DatabaseOptions, TableMode, TableTarget
from inbox.store.postgres.connection import Connection, connect
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.benchmarks.orders import COLUMNS, TABLE, TABLE_ROUTE, order
from tests.benchmarks.processes import usage
from tests.benchmarks.throughput import database, migrated
from tests.support.records import record

PART, BATCH, LINES = 1000, 5000, 5
PARTIAL = ("customer", "note")
"""Members that only every second event has, in `merge`."""

LINES_TABLE = """
CREATE TABLE public.lines (order_id bigint, line int, sku text, amount numeric, PRIMARY KEY (order_id, line))
"""


@dataclass(frozen=True)
class Trial:
    """A mode, the events that it is measured with, and the rows of an event."""

    name: str
    target: TableTarget
    document: Any
    rows: int = 1


def _order(number: int) -> dict[str, Any]:
    return order(number)


def _partial(number: int) -> dict[str, Any]:
    left_out = PARTIAL[number % 2]
    return {name: value for name, value in order(number).items() if name != left_out}


def _with_lines(number: int) -> dict[str, Any]:
    lines = [{"line": line, "sku": f"sku {line}", "amount": "9.50"} for line in range(LINES)]
    return {"order_id": number, "lines": lines}


def _target(mode: TableMode) -> TableTarget:
    columns = {name: ColumnSource(f"/{name}") for name in COLUMNS}
    return TableTarget(name="public.orders", mode=mode, key=("order_id",), columns=columns)


def _lines(mode: TableMode, **changes: Any) -> TableTarget:
    columns = {name: ColumnSource(f"/{name}") for name in ("line", "sku", "amount")}
    columns["order_id"] = ColumnSource("$event:/order_id" if "for_each" in changes else "/order_id")
    return TableTarget(name="public.lines", mode=mode, key=("order_id", "line"), columns=columns, **changes)


def _line(number: int) -> dict[str, Any]:
    return {"order_id": number, "line": 0, "sku": "sku 0", "amount": "9.50"}


TRIALS = [
    Trial("upsert", _target(TableMode.UPSERT), _order),
    Trial("merge", _target(TableMode.MERGE), _partial),
    Trial("upsert of a line", _lines(TableMode.UPSERT), _line),
    Trial("for_each", _lines(TableMode.UPSERT, for_each="/lines"), _with_lines, LINES),
    Trial(
        "for_each that replaces",
        _lines(TableMode.UPSERT, for_each="/lines", replaces=("order_id",)),
        _with_lines,
        LINES,
    ),
]


def _batches(trial: Trial, events: int) -> Iterator[tuple[Claims, TableEvents]]:
    for first in range(0, events, PART):
        numbers = range(first, min(first + PART, events))
        records = [record(number, value=json.dumps(trial.document(number)).encode()) for number in numbers]
        ids = sorted(uuid.uuid4().bytes for _ in numbers)
        hashes = [payload_hash(each) for each in records]
        yield Claims(ids, list(numbers), hashes, [1] * len(ids)), TableEvents(ids, [None] * len(ids), records)


def _seconds(connection: Connection, trial: Trial, parts: Sequence[tuple[Claims, TableEvents]], *, new: bool) -> float:
    writer, processed = TableWriter(connection, trial.target), ClaimStore(connection, "inbox")
    pid = connection.info.backend_pid
    started, before = time.process_time(), usage([pid]).cpu_seconds
    for start in range(0, len(parts), BATCH // PART):
        with connection.transaction():
            for claims, events in parts[start : start + BATCH // PART]:
                processed.send_new(1, claims)
                writer.send(connection, events, new=new, distinct=True)
    return time.process_time() - started + usage([pid]).cpu_seconds - before


def measured(connection: Connection, events: int, turns: int) -> dict[tuple[str, bool], float]:
    """Return the best rates in rows a second of CPU, by trial and whether the rows are new."""
    best: dict[tuple[str, bool], float] = {}
    for _ in range(turns):
        for trial in TRIALS:
            count = events // trial.rows
            for table in ("TRUNCATE inbox.processed", "TRUNCATE public.orders, public.lines", "CHECKPOINT"):
                connection.execute(table.encode())
            for new in (True, False):
                seconds = _seconds(connection, trial, list(_batches(trial, count)), new=new)
                rate = count * trial.rows / seconds
                best[trial.name, new] = max(best.get((trial.name, new), 0.0), rate)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with servers(progress=print) as running, database(running) as url, tempfile.TemporaryDirectory() as directory:
        migrated(running, "orders", url, Path(directory), TABLE_ROUTE)
        with closing(connect(DatabaseOptions(url=SecretStr(url)))) as connection:
            for table in (TABLE.replace("TABLE orders", "TABLE public.orders"), LINES_TABLE):
                connection.execute(table.encode())
            best = measured(connection, arguments.events, arguments.turns)
        print(
            f"{running.description}; rows a second of CPU, best of {arguments.turns} turns, and the ratio to upsert\n"
        )
        for (name, new), rate in best.items():
            base = "upsert" if name in ("upsert", "merge") else "upsert of a line"
            print(f"  {name:24} {'new' if new else 'existing':9} {rate:10,.0f}  {rate / best[base, new]:.2f}")


if __name__ == "__main__":
    main()
