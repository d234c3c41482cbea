"""Find tables whose updates cost more than they need: the new version of a row does not stay on its page.

Source: the PostgreSQL manual, "Heap-Only Tuples (HOT)" and "Storage Parameters".
"""

from collections.abc import Iterator
from typing import LiteralString

from inbox.store.postgres.connection import Connection

_ENOUGH_UPDATES = 10_000

_UPDATES: LiteralString = """
SELECT s.n_tup_upd, s.n_tup_hot_upd, coalesce((
    SELECT option_value::integer FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'
), 100)
FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid WHERE c.oid = to_regclass(%s) AND c.relkind = 'r'
"""


def advice_on_updates(connection: Connection, table: str) -> Iterator[str]:
    """Yield a line if the server's statistics show that most updates of the table left their page, and it is full."""
    row = connection.execute(_UPDATES, (table,)).fetchone()
    if row is None:
        return
    updates, on_page, fillfactor = row
    if updates < _ENOUGH_UPDATES or 2 * on_page > updates or fillfactor < 100:
        return
    yield (
        f"of {updates} updates of {table} only {on_page} kept the row on its page (HOT); each other one costs an entry "
        "in every index and about twice the server's time. Leave room on the pages: "
        f"ALTER TABLE {table} SET (fillfactor = 70); existing pages follow with VACUUM FULL or as rows move. An index "
        "on a column that events change prevents it too"
    )
