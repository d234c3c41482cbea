"""The progress and findings of an audit as JSON, from which another run continues."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inbox.events import TopicPartition
from inbox.operations.audit.accounting import OrphanClaim, PartitionAudit, RouteAccount

_FORM = 1
_RANGES = ("skipped", "unread")


class ForeignCheckpointError(Exception):
    """A refusal: the checkpoint belongs to another audit, or to none."""


def as_json(of: Mapping[str, Any], parts: Sequence[PartitionAudit]) -> dict[str, Any]:
    """Return the audit as JSON. `of` names the audit: only the same audit may continue from it."""
    return {"inbox_audit": _FORM, "of": dict(of), "partitions": [_part_json(part) for part in parts]}


def from_json(of: Mapping[str, Any], document: Any) -> list[PartitionAudit]:
    """Return the audit that the JSON describes. Raises ForeignPlaceError."""
    if not isinstance(document, dict) or document.get("inbox_audit") != _FORM:
        raise ForeignCheckpointError("it is not the checkpoint of an audit")
    if document["of"] != dict(of):
        raise ForeignCheckpointError(f"it is the checkpoint of another audit: {document['of']}")
    return [_part(each) for each in document["partitions"]]


def _part_json(part: PartitionAudit) -> dict[str, Any]:
    ranges = {name: [[each.start, each.stop] for each in getattr(part, name)] for name in _RANGES}
    return {**asdict(part), "address": list(part.address), **ranges}


def _part(found: dict[str, Any]) -> PartitionAudit:
    parsed = {
        "address": TopicPartition(*found["address"]),
        "routes": {name: RouteAccount(**account) for name, account in found["routes"].items()},
        "differing": [(name, chunk) for name, chunk in found["differing"]],
        "strays": [OrphanClaim(**orphan) for orphan in found["strays"]],
    }
    ranges = {name: [range(start, stop) for start, stop in found.get(name, ())] for name in _RANGES}
    return PartitionAudit(**{**found, **parsed, **ranges})
