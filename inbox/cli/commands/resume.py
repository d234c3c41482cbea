"""The command `inbox resume`: the way out of a halt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from inbox.cli.arguments import where
from inbox.cli.options import (
    config_option,
    example,
    json_option,
    plan_option,
    properties_option,
    report_stale_plan,
    sink_settings,
)
from inbox.cli.output import notice, print_json, print_lines
from inbox.operations.resume.plan import RefusedError, Request, Step
from inbox.operations.resume.resume import Resumption
from inbox.operations.resume.resume import resume as resume_topic
from inbox.process.exit_codes import DONE


@click.command(
    epilog=example(
        "inbox resume --topic orders --new-topic\n"
        "inbox resume --topic orders:0,3 --from-earliest --accept-loss --execute"
    )
)
@config_option
@properties_option
@click.option("--topic", required=True, metavar="T[:P,P]", help="The topic, or some of its partitions.")
@click.option("--from-offset", type=click.IntRange(min=0), metavar="N", help="Continue at this offset.")
@click.option("--from-earliest", is_flag=True, help="Continue at the log start.")
@click.option("--new-topic", is_flag=True, help="The topic was replaced: continue at the log start of the new one.")
@click.option("--accept-loss", is_flag=True, help="Accept what the plan says is lost or may come twice.")
@click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
@click.option(
    "--by", metavar="NAME", help="Who does it, for requested_by; default: the OS user, host and database user."
)
@plan_option
@json_option
def resume(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    topic: str,
    from_offset: int | None,
    from_earliest: bool,
    new_topic: bool,
    accept_loss: bool,
    execute: bool,
    by: str | None,
    shown: str | None,
    as_json: bool,
) -> int:
    """Bind the ledger to the log as it is now, after the sink halted.

    Shows for each partition what would be lost or may come twice; only --execute changes anything. Afterwards start
    `inbox run`; a sink that is still running continues there by itself.
    """
    if (from_offset is not None) + from_earliest + new_topic != 1:
        raise click.UsageError("give one of --from-offset, --from-earliest and --new-topic")
    name, partitions = where(topic)
    request = Request(topic=name, partitions=partitions, from_offset=from_offset, new_topic=new_topic)
    settings = sink_settings(config, properties)
    try:
        found = resume_topic(settings, request, accept_loss=accept_loss, execute=execute, by=by, shown=shown)
    except RefusedError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        print_json(_as_json(name, found))
    else:
        print_lines(_lines(found))
    if found.stale:
        return report_stale_plan()
    if execute and not found.executed:
        raise click.UsageError("events are lost or may come again, as the plan says; give --accept-loss as well")
    if found.elsewhere:
        notice(f"still bound to another cluster, and to be resumed too: {', '.join(found.elsewhere)}")
    return DONE


def _as_json(topic: str, found: Resumption) -> dict[str, Any]:
    return {
        "topic": topic,
        "executed": found.executed,
        "plan": found.token,
        "accept_loss_needed": found.costs,
        "partitions": [_step_json(step) for step in found.steps],
        "elsewhere": list(found.elsewhere),
    }


def _step_json(step: Step) -> dict[str, Any]:
    successor, before = step.successor, step.successor.before
    return {
        "partition": step.address.partition,
        "from_offset": before.next_offset,
        "to_offset": successor.to_offset,
        "log_start": step.log_start,
        "log_end": step.log_end,
        "from_cluster_id": before.cluster_id,
        "to_cluster_id": successor.cluster_id,
        "from_topic_id": None if before.topic_id is None else str(before.topic_id),
        "to_topic_id": None if successor.topic_id is None else str(successor.topic_id),
        "another_log": successor.another_log,
        "lost": step.lost,
        "repeated": step.repeated,
        "consequence": successor.consequence,
    }


def _lines(found: Resumption) -> Sequence[str]:
    lines = [_line(step) for step in found.steps]
    if found.executed:
        return [*lines, "done; `inbox run` continues from there"]
    flags = "--accept-loss --execute" if found.costs else "--execute"
    return [*lines, f"nothing was changed; {flags} does it, and with --plan {found.token} this or nothing"]


def _line(step: Step) -> str:
    successor = step.successor
    onward = "ends" if successor.to_offset is None else str(successor.to_offset)
    extent = "" if step.log_end is None else f" (log {step.log_start} up to {step.log_end})"
    return f"{step.address}: {successor.before.next_offset} -> {onward}{extent}: {successor.consequence}"
