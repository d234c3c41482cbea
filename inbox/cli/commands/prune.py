"""The command `inbox prune`: it removes what is past its retention."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from inbox.cli.options import config_option, database_settings, example, json_option
from inbox.cli.output import notice, print_json, print_lines, timestamp
from inbox.operations.retention.prune import Pruned, PrunePlan, plan_prune
from inbox.operations.retention.prune import prune as prune_now
from inbox.process.exit_codes import DONE
from inbox.store.inbox.retention import ExpiredRows


@click.command(epilog=example("inbox prune\ninbox prune --execute"))
@config_option
@click.option("--execute", is_flag=True, help="Do it; without this the plan is shown and nothing changes.")
@json_option
def prune(config: Path | None, execute: bool, as_json: bool) -> int:
    """Remove claims, history, resolved dead letters and sent events of the outbox past their retention.

    The running sink does so by itself, and the relay does for the outbox. Claims are removed by generation, each a
    fifteenth of the retention. The horizon is raised first: below it duplicates are no longer recognised, and a
    replay that would apply events twice is refused.
    """
    settings = database_settings(config)
    plan = plan_prune(settings.database, settings.retention, settings.outbox)
    done = prune_now(settings.database, settings.retention, settings.outbox) if execute else None
    if as_json:
        print_json(document(plan, done))
    else:
        print_lines(_plan_lines(plan) if done is None else _done_lines(done))
    for reason in done.waits_for if done is not None else ():
        notice(f"claims stay for now: {reason}; the sink tries again by itself")
    if plan.outbox_left:
        notice("the outbox is left out: this role may not remove from it; the relay removes what it sent")
    return DONE


def document(plan: PrunePlan, done: Pruned | None) -> dict[str, Any]:
    """Return the plan, and what was done, as `--json` prints it."""
    return {
        "executed": done is not None,
        "claims": {"rows": plan.claims, "last_seen_until": timestamp(plan.claims_until)},
        "progress": _old(plan.progress),
        "dead_letters": _old(plan.dead_letters),
        "dead_letter_payloads": _old(plan.payloads),
        "outbox": _old(plan.outbox),
        "horizon": {"before": timestamp(plan.horizon_before), "after": timestamp(plan.horizon_after)},
        "partitions": [
            {
                "topic": each.address.topic,
                "partition": each.address.partition,
                "before": each.before,
                "after": each.after,
            }
            for each in plan.horizons
        ],
        "removed": None
        if done is None
        else {
            "claims": done.claims,
            "progress": done.progress,
            "dead_letters": done.dead_letters,
            "dead_letter_payloads": done.payloads,
            "outbox": done.outbox,
        },
    }


def _old(old: ExpiredRows) -> dict[str, Any]:
    return {"rows": old.rows, "oldest": timestamp(old.oldest)}


def _plan_lines(plan: PrunePlan) -> list[str]:
    lines = [
        f"claims: {plan.claims}" + (f", last seen before {timestamp(plan.claims_until)}" if plan.claims_until else ""),
        f"progress: {_rows(plan.progress)}",
        f"resolved dead letters: {_rows(plan.dead_letters)}",
        f"payloads of resolved dead letters: {_rows(plan.payloads)}",
        f"events of the outbox: {_rows(plan.outbox)}",
        f"horizon: {_horizon(plan.horizon_before)} -> {_horizon(plan.horizon_after)}",
    ]
    lines += [
        f"  {each.address}: {'the start' if each.before is None else each.before} -> {each.after}"
        for each in plan.horizons
        if each.after != each.before
    ]
    return [*lines, "nothing was changed; add --execute to do it"]


def _done_lines(done: Pruned) -> list[str]:
    return [
        f"removed {done.claims} claims, {done.progress} rows of progress, {done.dead_letters} dead letters, "
        f"{done.payloads} payloads of dead letters, {done.outbox} events of the outbox"
    ]


def _rows(old: ExpiredRows) -> str:
    return f"{old.rows} rows, the oldest of {timestamp(old.oldest)}" if old.rows else "0 rows"


def _horizon(time: datetime | None) -> str:
    return timestamp(time) or "none (every id is recognised)"
