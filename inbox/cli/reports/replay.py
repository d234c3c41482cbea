"""The report of a replay: its plan, its outcome, and the history of replays."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from inbox.cli.output import timestamp
from inbox.cli.tables import PlainTable
from inbox.operations.replay.plan import Request, Step
from inbox.operations.replay.preview import Count
from inbox.operations.replay.replay import Outcome
from inbox.operations.replay.trial import RouteTrial
from inbox.printable import printable
from inbox.store.inbox.replays import Mode, Replay, ReplayedRange


def plan_json(request: Request, outcome: Outcome) -> dict[str, Any]:
    """Return the plan as JSON, with the replay's id if it was begun."""
    return {
        "mode": request.mode.value,
        "route": request.route,
        "executed": outcome.replay_id is not None,
        "replay_id": outcome.replay_id,
        "plan": outcome.token,
        "partitions": [_step_json(step, outcome) for step in outcome.plan.steps],
        "refused": list(outcome.plan.refusals),
        "notes": list(outcome.plan.notes),
    }


def _step_json(step: Step, outcome: Outcome) -> dict[str, Any]:
    counts = outcome.counted.counts.get(step.address)
    names = ("records", "applied", "duplicate", "filtered", "dead_letters", "lacking")
    return {
        "topic": step.address.topic,
        "partition": step.address.partition,
        "from_offset": step.from_offset,
        "until_offset": step.until_offset,
        "ledger_offset": step.known.next_offset,
        "from_time": timestamp(outcome.counted.since.get(step.address)),
        **{name: None if counts is None else getattr(counts, name) for name in names},
    }


def plan_lines(request: Request, outcome: Outcome) -> Iterator[str]:
    """Yield a line for each partition of the plan, and one that says whether the replay was started."""
    for step in outcome.plan.steps:
        yield _step_line(step, request.mode, outcome)
    if outcome.replay_id is not None:
        yield f"replay {outcome.replay_id} begins: the sink goes there within seconds, or when it is started"
    elif not outcome.plan.refusals:
        exactly = "" if request.mode is Mode.SHADOW else f", and --plan {outcome.token} to do this or nothing"
        yield f"nothing was changed; add --execute to do it{exactly}"


def _step_line(step: Step, mode: Mode, outcome: Outcome) -> str:
    since = outcome.counted.since.get(step.address)
    back = f"goes back {step.back} offsets from {step.known.next_offset}" if mode is not Mode.SHADOW else "stays"
    begun = f" ({_minute(since)})" if since is not None else ""
    counts = outcome.counted.counts.get(step.address)
    found = f"{step.offsets} offsets, not counted" if counts is None else _found(counts, mode)
    return f"{step.address}: {step.from_offset} up to {step.until_offset}{begun}, the sink {back}: {found}"


def _found(counts: Count, mode: Mode) -> str:
    kinds = {
        "applied already": counts.applied,
        "duplicates": counts.duplicate,
        "filtered": counts.filtered,
        "dead letters": counts.dead_letters,
    }
    parts = [f"{number} {name}" for name, number in kinds.items() if number]
    what = {
        Mode.SKIP_APPLIED: f"{counts.lacking} would run",
        Mode.FORCE: f"{counts.applied} would run once more, and {counts.lacking} for the first time",
        Mode.SHADOW: f"{counts.applied + counts.lacking + counts.dead_letters} would be tried and rolled back",
    }
    return f"{counts.records} records: {', '.join([*parts, what[mode]])}"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def replay_json(found: Replay) -> dict[str, Any]:
    """Return a replay with its ranges as JSON."""
    return {
        "replay_id": found.replay_id,
        "mode": found.mode.value,
        "route": found.route,
        "requested_by": found.requested_by,
        "state": found.state.value,
        "per_second": found.per_second,
        "created_at": timestamp(found.created_at),
        "ended_at": timestamp(found.ended_at),
        "ranges": [_range_json(each) for each in found.ranges],
    }


def _range_json(each: ReplayedRange) -> dict[str, Any]:
    return {
        "topic": each.address.topic,
        "partition": each.address.partition,
        "from_offset": each.from_offset,
        "until_offset": each.until_offset,
        "next_offset": each.next_offset,
        "ledger_offset": each.ledger_offset,
        "state": each.state.value,
        **{ending.value: number for ending, number in each.settlement.by_ending().items()},
    }


def replays_table(replays: Sequence[Replay]) -> PlainTable:
    """Return a table with a line for each range."""
    table = PlainTable()
    table.add_columns("id", justify="right")
    table.add_columns("state", "mode", "route", "partition")
    table.add_columns("from", "until", "next", justify="right")
    table.add_columns("rate", justify="right")
    table.add_columns("endings", "by", "begun (UTC)")
    for replay in replays:
        for each in replay.ranges:
            table.add_row(*_cells(replay, each))
    return table


def _cells(replay: Replay, each: ReplayedRange) -> list[str]:
    counted = each.settlement.by_ending().items()
    endings = ", ".join(f"{number} {ending.value.replace('_', '-')}" for ending, number in counted if number)
    offsets = [str(offset) for offset in (each.from_offset, each.until_offset, each.next_offset)]
    begun = replay.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    route = replay.route or "all"
    rate = "" if replay.per_second is None else f"{replay.per_second}/s"
    return [
        str(replay.replay_id), each.state.value, replay.mode.value, route, str(each.address), *offsets, rate, endings,
        printable(replay.requested_by), begun,
    ]  # fmt: skip


def shadow_json(request: Request, outcome: Outcome, found: Sequence[RouteTrial]) -> dict[str, Any]:
    """Return the results of a shadow replay by route as JSON."""
    names = ("events", "applied", "failed", "duplicate", "filtered", "fails_now", "passes_now")
    routes = [
        {
            "route": each.route,
            **{name: getattr(each, name) for name in names},
            "examples": [{"event": where, "error": error} for where, error in each.examples],
        }
        for each in found
    ]
    return {**plan_json(request, outcome), "executed": True, "routes": routes}


def shadow_lines(found: Sequence[RouteTrial]) -> Iterator[str]:
    """Yield lines with the results of a shadow replay by route, and how they differ from before."""
    for each in found:
        yield (
            f"route {each.route}: {each.events} events: {each.applied} would apply, {each.failed} fail, "
            f"{each.duplicate} duplicates, {each.filtered} filtered"
        )
        if each.passes_now:
            yield f"  {each.passes_now} that are dead letters would apply"
        if each.fails_now:
            yield f"  {each.fails_now} that took effect before fail now:"
        for where, error in each.examples:
            yield f"    {where}: {error}"
    yield "everything was rolled back"
