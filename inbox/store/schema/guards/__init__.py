"""The functions and triggers by which the schema's owner guards it against the sink's own login.

There is one file per revision; a file never changes once it was released.
"""

from importlib.resources import files

from psycopg import sql
from sqlalchemy import DDL

TRIGGERS = {"partitions": "partitions_guard", "dead_letters": "dead_letters_guard"}
TRIGGER_FUNCTIONS = ("guard_ledger", "guard_letter")


def guards(revision: str, schema: str) -> list[DDL]:
    """Return the statements by which a revision creates the functions and triggers, in their order."""
    text = (files(__name__) / f"{revision}.sql").read_text(encoding="utf-8")
    quoted = sql.Identifier(schema).as_string()
    # A DDL is a format string.
    named = (each.replace("{schema}", quoted).replace("%", "%%") for each in text.rstrip(";\n").split(";\n\nCREATE "))
    first, *others = named
    return [_ddl(first.partition("\n\n")[2]), *(_ddl(f"CREATE {each}") for each in others)]


def _ddl(statement: str) -> DDL:
    return DDL(statement)  # type: ignore[no-untyped-call]
