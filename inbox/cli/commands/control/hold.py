"""The commands `inbox hold` and `inbox release`: stop the sink from taking records of a topic, or let it continue."""

from datetime import timedelta
from pathlib import Path

import click

from inbox.cli.arguments import age, where
from inbox.cli.options import Command, config_option, example, json_option, properties_option, sink_settings
from inbox.cli.output import notice, print_json, print_lines
from inbox.cli.reports.holds import hold_json, hold_plan_lines, release_json, release_plan_lines
from inbox.operations.hold import Request
from inbox.operations.hold import hold as hold_planned
from inbox.operations.hold import release as release_planned
from inbox.process.exit_codes import DONE, FAILURE

_MOST_REASON = 1000


def _execute_options(command: Command) -> Command:
    execute = click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
    who = click.option("--by", metavar="NAME", help="Who does it; default: the OS user, host and database user.")
    return execute(who(command))


@click.command(
    epilog=example(
        "inbox hold --route orders --for 2h --reason 'ticket 4711: the new column is missing'\n"
        "inbox hold --topic orders:0,3 --reason 'ticket 4711' --execute"
    )
)
@config_option
@properties_option
@click.option("--route", metavar="NAME", help="All topics of this route.")
@click.option("--topic", metavar="T[:P,P]", help="This topic, or some of its partitions.")
@click.option(
    "--for",
    "lasts",
    metavar="2h",
    callback=age,
    help="Release it after this time; default: hold until `inbox release`.",
)
@click.option("--reason", required=True, metavar="TEXT", help="The reason, which `inbox status` shows.")
@click.option("--shared", is_flag=True, help="With --route: hold the other routes of its topics too.")
@_execute_options
@json_option
def hold(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    route: str | None,
    topic: str | None,
    lasts: timedelta | None,
    reason: str,
    shared: bool,
    execute: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """Stop the sink from taking records of some topics, while it stays in its group and loses nothing.

    Every worker follows within 5 seconds and finishes its current batch first. The hold outlives restarts. Routes
    that share a topic are held together. `inbox release` ends it.
    """
    if len(reason) > _MOST_REASON or not reason.strip():
        raise click.BadParameter(f"expected 1 to {_MOST_REASON} characters", param_hint="--reason")
    request = _request(route, topic)
    settings = sink_settings(config, properties)
    found = hold_planned(settings, request, reason=reason, lasts=lasts, shared=shared, execute=execute, by=by)
    if as_json:
        print_json(hold_json(found, reason=reason, lasts=lasts))
    else:
        print_lines(hold_plan_lines(found, lasts=lasts))
    if found.refusal is not None:
        notice(f"{found.refusal}; nothing was changed")
        return FAILURE
    if execute and not found.hold_ids:
        others = ", ".join(found.more_routes)
        raise click.UsageError(f"route {route} shares topics with {others}; give --shared to hold them too")
    return DONE


@click.command(
    epilog=example("inbox release --route orders\ninbox release --topic orders:0,3 --execute\ninbox release --all")
)
@config_option
@properties_option
@click.option("--route", metavar="NAME", help="The holds that name this route.")
@click.option("--topic", metavar="T[:P,P]", help="The holds on this topic, or on these partitions of it.")
@click.option("--all", "everything", is_flag=True, help="Every hold in force.")
@_execute_options
@json_option
def release(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    route: str | None,
    topic: str | None,
    everything: bool,
    execute: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """End holds: within 5 seconds the sink continues at the ledger's next offset.

    The exit code is 1 if no hold in force matches.
    """
    if everything and (route is not None or topic is not None):
        raise click.UsageError("--all stands alone")
    request = Request() if everything else _request(route, topic)
    found = release_planned(sink_settings(config, properties), request, execute=execute, by=by)
    if as_json:
        print_json(release_json(found))
    else:
        print_lines(release_plan_lines(found))
    if not found.holds:
        notice(f"nobody holds {request.asked}; `inbox status` shows the holds in force")
        return FAILURE
    if execute and not found.released:
        notice("somebody else released it meanwhile, or its time was over; nothing was changed")
    return DONE


def _request(route: str | None, topic: str | None) -> Request:
    if (route is None) == (topic is None):
        raise click.UsageError("give one of --route and --topic")
    if topic is None:
        return Request(route=route)
    name, partitions = where(topic)
    return Request(topic=name, partitions=partitions)
