"""The report of holds: the plan of one, of a release, and those in force."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from inbox.cli.output import timestamp
from inbox.operations.hold import HeldTopic, Holding, Releasing
from inbox.store.inbox.control.holds import Hold


def hold_json(found: Holding, *, reason: str, lasts: timedelta | None) -> dict[str, Any]:
    """Return the plan of a hold as `--json` prints it."""
    return {
        "executed": bool(found.hold_ids),
        "holds": list(found.hold_ids),
        "route": found.request.route,
        "topics": [_topic_json(each) for each in found.topics],
        "more_routes": list(found.more_routes),
        "reason": reason,
        "seconds": None if lasts is None else lasts.total_seconds(),
        "others": [in_force_json(each) for each in found.others],
        "refusal": found.refusal,
    }


def _topic_json(held: HeldTopic) -> dict[str, Any]:
    partitions = None if held.partitions is None else list(held.partitions)
    return {"topic": held.topic, "partitions": partitions, "routes": list(held.routes)}


def in_force_json(hold: Hold) -> dict[str, Any]:
    """Return a hold in force as `--json` prints it."""
    return {
        "id": hold.hold_id,
        "route": hold.route,
        "topic": hold.topic,
        "partitions": None if hold.partitions is None else list(hold.partitions),
        "reason": hold.reason,
        "requested_by": hold.requested_by,
        "created_at": timestamp(hold.created_at),
        "held_until": timestamp(hold.held_until),
    }


def in_force_lines(holds: Sequence[Hold]) -> Iterator[str]:
    """Yield two lines for each hold in force: what is held and why, and who holds it."""
    for each in holds:
        until = "until it is released" if each.held_until is None else f"until {_moment(each.held_until)}"
        yield f"HELD: {each.where}, {until}: {each.reason}"
        yield f"  by {each.requested_by} since {_moment(each.created_at)}; `inbox release` ends it"


def hold_plan_lines(found: Holding, *, lasts: timedelta | None) -> Iterator[str]:
    """Yield what would be held, or is held now."""
    yield from in_force_lines(found.others)
    for each in found.topics:
        partitions = "all partitions" if each.partitions is None else f"partitions {_numbers(each.partitions)}"
        yield f"{each.topic}: {partitions}, with the routes {', '.join(each.routes)}"
    if found.refusal is not None:
        return
    if found.more_routes:
        yield f"routes that share these topics are held too: {', '.join(found.more_routes)}"
    if found.hold_ids:
        until = "until `inbox release`" if lasts is None else f"for {lasts}"
        yield f"held {until}: the sink takes nothing more of it within 5 seconds; see `inbox status`"
    else:
        yield f"nothing was changed; add {'--shared ' if found.more_routes else ''}--execute to do it"


def release_json(found: Releasing) -> dict[str, Any]:
    """Return the plan of a release as `--json` prints it."""
    return {
        "executed": found.executed and bool(found.released),
        "holds": [in_force_json(each) for each in found.holds],
        "released": list(found.released),
        "left": [in_force_json(each) for each in found.left],
    }


def release_plan_lines(found: Releasing) -> Iterator[str]:
    """Yield what would be released, or was, and what stays held beside it."""
    yield from in_force_lines(found.holds)
    if found.released:
        yield "released; the sink continues within 5 seconds; see `inbox status`"
    elif found.holds and not found.executed:
        yield "nothing was changed; add --execute to release it"
    if found.left:
        yield "stays held:"
        yield from in_force_lines(found.left)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _numbers(partitions: Sequence[int]) -> str:
    return ", ".join(map(str, partitions))
