"""Table names that workers and migrations share, apart from the tables so that a worker does not import SQLAlchemy."""

GENERATION_SLOTS = 16
"""The number of tables of claims, `processed` and `processed_1` to `_15`, used in turn."""

VERSION_TABLE = "alembic_version"
OUTBOX_VERSION_TABLE = "outbox_version"
EXISTING_VERSION_TABLE = "relay_leases_version"


def table_of(generation: int) -> str:
    """Return the table that has the generation's claims; generations use the tables in turn."""
    slot = generation % GENERATION_SLOTS
    return f"processed_{slot}" if slot else "processed"
