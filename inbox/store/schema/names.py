"""Names of tables that not only the schema's description needs, which is SQLAlchemy's: a worker does without that."""

GENERATION_SLOTS = 16
"""How many tables of claims there are, `processed` and `processed_1` to `_15`, used in turn."""

VERSION_TABLE = "alembic_version"
OUTBOX_VERSION_TABLE = "outbox_version"
EXISTING_VERSION_TABLE = "relay_leases_version"


def table_of(generation: int) -> str:
    """The table that has its claims: they take turns."""
    slot = generation % GENERATION_SLOTS
    return f"processed_{slot}" if slot else "processed"
