"""The rights of the sink's own login in the schema, none of which removes or rewrites what was recorded.

Claims, history, dead letters and generations are removed by functions of the schema's owner, each
within its limits (`inbox.store.schema.guards`). SECURITY.md describes what remains possible with
these rights.
"""

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from inbox.store.schema.names import GENERATION_SLOTS, VERSION_TABLE, table_of


class Right(NamedTuple):
    """A right on a table, or on some columns of it."""

    name: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.columns)})" if self.columns else self.name


def _columns(right: str, names: str) -> Right:
    return Right(right, tuple(names.split()))


_SELECT, _INSERT, _UPDATE, _DELETE = (Right(name) for name in ("SELECT", "INSERT", "UPDATE", "DELETE"))
_COUNTS = "applied duplicate filtered dead_lettered"

OF_SINK: Mapping[str, tuple[Right, ...]] = {
    "sink": (_SELECT, _columns("INSERT", "name group_id"), _columns("UPDATE", "cluster_id routes_revision")),
    "routes": (_SELECT, _columns("INSERT", "name topics identity"), _columns("UPDATE", "topics retired_at")),
    "partitions": (
        _SELECT,
        _columns(
            "INSERT",
            "cluster_id topic topic_id partition start_offset next_offset reached_offset "
            "owner owner_pid owner_started owner_epoch",
        ),
        _columns(
            "UPDATE",
            "topic topic_id next_offset reached_offset leader_epoch owner owner_pid owner_started owner_epoch "
            f"{_COUNTS} same_id_other_payload progress_from progress_since updated_at",
        ),
    ),
    "progress": (
        _SELECT,
        _columns("INSERT", f"partition_id from_offset until_offset {_COUNTS}"),
        _columns("UPDATE", f"until_offset until_time {_COUNTS}"),
    ),
    "route_starts": (_SELECT, _INSERT, _columns("UPDATE", "from_offset")),
    "settled_ranges": (_SELECT, _INSERT, _columns("UPDATE", "until_offset")),
    "unknown_members": (
        _SELECT,
        _columns("INSERT", "route_id partition_id member events"),
        _columns("UPDATE", "events last_seen_at"),
    ),
    "processed": (_SELECT, _INSERT, _columns("UPDATE", "partition_id kafka_offset replay_id")),
    **{table_of(generation): (_SELECT, _INSERT) for generation in range(1, GENERATION_SLOTS)},
    "generations": (_SELECT, _columns("UPDATE", "filter_bits")),
    "generation_filters": (_SELECT, _INSERT, _DELETE),
    "retention": (_SELECT,),
    "pruning": (_SELECT, _UPDATE),
    "dead_letters": (
        _SELECT,
        _columns(
            "INSERT",
            "event_id route_id partition_id kafka_offset kafka_timestamp kafka_milliseconds type key value headers "
            "error_class error error_detail cause cause_kind attempts state replay_id retry_at "
            "payload_hash",
        ),
        _columns(
            "UPDATE",
            "error_class error error_detail cause cause_kind attempts state updated_at resolved_at resolved_by "
            "replay_id retries retry_at",
        ),
    ),
    "handling": (_SELECT, _INSERT, _UPDATE, _DELETE),
    "replays": (
        _SELECT,
        _columns("INSERT", "mode route_id requested_by per_second"),
        _columns("UPDATE", "state ended_at"),
    ),
    "replay_ranges": (
        _SELECT,
        _columns("INSERT", "replay_id partition_id from_offset until_offset next_offset ledger_offset ledger_epoch"),
        _columns("UPDATE", f"next_offset {_COUNTS} state updated_at"),
    ),
    "resumptions": (
        _SELECT,
        _columns(
            "INSERT",
            "partition_id from_cluster_id to_cluster_id from_topic_id to_topic_id from_offset to_offset consequence "
            "requested_by",
        ),
    ),
    "actions": (_SELECT, _columns("INSERT", "requested_by command plan"), _columns("UPDATE", "result ended_at")),
    "holds": (
        _SELECT,
        _columns("INSERT", "route topic partitions reason requested_by held_until"),
        _columns("UPDATE", "released_at released_by"),
    ),
    "pace": (_SELECT, _INSERT, _UPDATE),
    VERSION_TABLE: (_SELECT,),
}

FUNCTIONS_OF_SINK: Mapping[str, str] = {
    "forget_progress": "interval, integer",
    "forget_letters": "interval, integer",
    "redact_letters": "interval, integer",
    "switch_generation": "integer",
    "raise_horizon": "integer",
    "drop_generation": "integer, integer",
    "leave_older": "uuid[], smallint",
    "withdraw_claims": "uuid[], smallint",
    "forget_claims": "uuid[], integer",
}
"""The types of the parameters of each function, by its name."""


def merged(*rights: Mapping[str, tuple[Right, ...]]) -> dict[str, tuple[Right, ...]]:
    """Return all rights, with those on one table together."""
    tables = dict.fromkeys(chain(*rights))
    return {name: tuple(dict.fromkeys(chain(*(each.get(name, ()) for each in rights)))) for name in tables}


def whole(*names: str) -> tuple[Right, ...]:
    """Return rights on a whole table."""
    return tuple(Right(name) for name in names)
