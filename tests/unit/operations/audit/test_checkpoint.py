"""The place of an audit goes through JSON and back."""

import orjson
import pytest

from inbox.events import TopicPartition
from inbox.operations.audit.accounting import OffsetAnswer, OrphanClaim, PartitionAudit, RouteAccount
from inbox.operations.audit.checkpoint import ForeignCheckpointError, as_json, from_json

OF = {"schema": "inbox", "topic": None}


def place() -> list[PartitionAudit]:
    part = PartitionAudit(
        address=TopicPartition("t", 3), partition_id=7, from_offset=0, until_offset=9, at=4, records=4
    )
    part.routes["r"] = RouteAccount()
    part.routes["r"].count(OffsetAnswer.MISSING, [1, 3])
    part.differing.append(("r", 0))
    part.add_orphans([OrphanClaim(route="r", event_id="e", offset=2)])
    return [part]


def test_nothing_of_it_is_lost() -> None:
    assert from_json(OF, orjson.loads(orjson.dumps(as_json(OF, place())))) == place()


@pytest.mark.parametrize("document", [[], {}, {"inbox_audit": 0}, as_json({"schema": "other"}, place())])
def test_the_place_of_another_audit_is_refused(document: object) -> None:
    with pytest.raises(ForeignCheckpointError):
        from_json(OF, document)
