"""The source of a mirror: random inserts, updates, changed keys and deletes, and one truncate."""

import random
import threading
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from tests.interop.mirror.columns import MirrorColumn
from tests.support.waiting import eventually

AHEAD = 2_000
KEYS = 400


class Operations(threading.Thread):
    """Does so many operations on `public.source`, and stays at most `AHEAD` before what has arrived."""

    def __init__(
        self,
        url: str,
        columns: Sequence[MirrorColumn],
        operations: int,
        arrived: Callable[[], int],
        *,
        truncates: bool,
        seed: int = 21,
    ) -> None:
        super().__init__(daemon=True)
        self.done = self.changes = 0
        self.failure: BaseException | None = None
        self._url, self._columns, self._operations, self._arrived = url, columns, operations, arrived
        self._chance = random.Random(seed)
        self._truncated = not truncates

    def run(self) -> None:
        try:
            with psycopg.connect(self._url) as connection:
                while self.done < self._operations:
                    eventually(lambda: self.changes < self._arrived() + AHEAD, within=180, what="the sink's progress")
                    self._transaction(connection)
        except BaseException as error:
            self.failure = error
            raise

    def reach(self, number: int, *, within: float) -> None:
        """Wait until so many operations are done. Raises what ended them before, or AssertionError after `within` s."""
        eventually(
            lambda: self.done >= number or self.failure is not None,
            within=within,
            what=f"the end of {number} operations",
        )
        if self.failure is not None:
            raise self.failure

    def _transaction(self, connection: psycopg.Connection) -> None:
        count = min(self._chance.randint(1, 40), self._operations - self.done)
        changes = sum(self._operation(connection) for _ in range(count))
        if self._chance.random() < 0.1:
            connection.rollback()
            return
        if not self._truncated and self.done > self._operations // 2:
            connection.execute("TRUNCATE public.source")
            self._truncated = True
        connection.commit()
        self.done += count
        self.changes += changes

    def _operation(self, connection: psycopg.Connection) -> int:
        """Do one operation, and return how many changes of rows Debezium makes of it."""
        key, draw = self._chance.randint(1, KEYS), self._chance.random()
        if draw < 0.45:
            return self._insert(connection, key)
        if draw < 0.75:
            some = self._chance.sample(self._columns, self._chance.randint(1, 3))
            changes = sql.SQL(", ").join(
                sql.SQL("{} = {}::{}").format(sql.Identifier(c.name), sql.Placeholder(), sql.SQL(c.type)) for c in some
            )
            update = sql.SQL("UPDATE public.source SET {} WHERE id = {}").format(changes, sql.Placeholder())
            return connection.execute(update, [*(c.value(self._chance) for c in some), key]).rowcount
        if draw < 0.85:
            other = self._chance.randint(1, KEYS)
            # A large value that a change of the key left as it was is not sent, and the new row's create is refused.
            moved = connection.execute(
                "UPDATE public.source SET id = %s, large = large || '' WHERE id = %s"
                " AND NOT EXISTS (SELECT FROM public.source WHERE id = %s)",
                [other, key, other],
            )
            return 2 * moved.rowcount  # a delete and a create
        return connection.execute("DELETE FROM public.source WHERE id = %s", [key]).rowcount

    def _insert(self, connection: psycopg.Connection, key: int) -> int:
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in self._columns)
        values = sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(column.type)) for column in self._columns)
        inserted = connection.execute(
            sql.SQL("INSERT INTO public.source (id, {}) VALUES (%s, {}) ON CONFLICT DO NOTHING").format(names, values),
            [key, *(column.value(self._chance) for column in self._columns)],
        )
        return inserted.rowcount
