"""The advice on a sink's role that may do more than it needs, and on what the owner keeps in spite of it."""

from inbox.operations.retention_periods import overruled
from inbox.settings import RetentionLimits
from inbox.store.inbox.retention import Retention
from inbox.store.postgres.connection import Connection
from inbox.store.privileges.check import excess_rights, role_of


def advice_on_role(connection: Connection, schema: str) -> list[str]:
    """Return a sentence if the role may remove or rewrite what was recorded."""
    excess = excess_rights(connection, schema)
    if excess is None:
        return []
    return [
        f"the role {role_of(connection)} may do more than the sink needs ({excess}): somebody with its login can "
        "remove what was recorded; give the sink the role that `inbox migrate --roles` prints, and run that script "
        "again after each migration"
    ]


def advice_on_retention(connection: Connection, schema: str, limits: RetentionLimits) -> list[str]:
    """Return a sentence for each setting that the owner of the schema overrules."""
    kept = Retention(connection, schema).kept()
    return [
        f"[retention] {name} is shorter than the {getattr(kept, name)} that the owner of the schema keeps, which "
        "stands; to shorten it, run what `inbox migrate --roles` prints with this configuration"
        for name in overruled(limits, kept)
    ]
