"""The command `inbox replay`: it settles a range again while the sink runs."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from inbox.cli.arguments import moment, rate, where
from inbox.cli.options import (
    Command,
    config_option,
    database_settings,
    example,
    json_option,
    plan_option,
    properties_option,
    report_stale_plan,
    sink_settings,
)
from inbox.cli.output import notice, print_json, print_lines, print_text
from inbox.cli.progress import ended_otherwise, shown_until_settled
from inbox.cli.reports.replay import plan_json, plan_lines, replay_json, replays_table, shadow_json, shadow_lines
from inbox.cli.tables import print_table
from inbox.operations.replay.offsets_file import ListError, read_offsets, write_offsets
from inbox.operations.replay.plan import AtOffset, AtTime, Earliest, End, Listed, Request, ShiftedBy, Start
from inbox.operations.replay.replay import Outcome, cancel, read_replays
from inbox.operations.replay.replay import replay as replay_planned
from inbox.operations.replay.shadow import shadow
from inbox.process.exit_codes import DONE, FAILURE, USAGE
from inbox.settings import Settings
from inbox.store.inbox.replays import Mode, ReplayState

_EXAMPLE = """\
inbox replay --topic orders:0,3 --from-time 2h
inbox replay --topic orders --from-earliest --route totals --mode force --execute --wait"""

_COUNT_SECONDS, _COUNT_SECONDS_OF_EXECUTE = 20.0, 2.0
"""The seconds for which a plan may read its ranges. A person who executes the plan has seen them already."""


def _selection_options(command: Command) -> Command:
    """Add the options that select a range, and pass them to the command as one `request`."""

    @wraps(command)
    def with_request(**given: Any) -> Any:
        names = ("from_offset", "from_time", "from_earliest", "shift_by", "from_file", "until_offset", "until_time")
        bounds = {name: given.pop(name) for name in names}
        topic, mode, route = given.pop("topic"), Mode(given.pop("mode")), given.pop("route")
        name, partitions = where(topic) if topic is not None else (None, None)

        def request(group: str) -> Request:
            start = _start(bounds, group, topic=topic)
            return Request(start=start, until=_until(bounds), topic=name, partitions=partitions, mode=mode, route=route)

        return command(request=request, **given)

    count = click.IntRange(min=0)
    options = [
        click.option("--topic", metavar="T[:P,P]", help="The topic, or some of its partitions."),
        click.option("--from-offset", type=count, metavar="N", help="Begin at this offset of each partition."),
        click.option("--from-time", metavar="T", callback=moment, help="Begin at a time, or so long ago: 2h."),
        click.option("--from-earliest", is_flag=True, help="Begin at the log start."),
        click.option("--shift-by", type=int, metavar="N", help="Begin N offsets from where the ledger stands: -1000."),
        click.option("--from-file", type=click.Path(path_type=Path), metavar="FILE", help=_FROM_FILE),
        click.option("--until-offset", type=count, metavar="N", help="End before this offset of each partition."),
        click.option("--until-time", metavar="T", callback=moment, help="End before a time, or so long ago."),
        click.option("--route", metavar="NAME", help="This route alone; default: all that take the topic."),
        click.option(
            "--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.SKIP_APPLIED.value, help=_MODE
        ),
    ]
    decorated: Any = with_request
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_FROM_FILE = "Begin at the offsets of this file, as kafka-consumer-groups --export writes it."
_MODE = (
    "skip-applied (default): run what lacks its claim, or what the ledger does not have as settled on a route without "
    "claims; force: each event once more; shadow: try, and roll back."
)


def _start(bounds: dict[str, Any], group: str, *, topic: str | None) -> Start:
    of_options: dict[str, Callable[[Any], Start]] = {
        "from_offset": AtOffset,
        "from_time": AtTime,
        "from_earliest": lambda _: Earliest(),
        "shift_by": ShiftedBy,
        "from_file": lambda path: Listed(_listed(path, group)),
    }
    given = [name for name in of_options if bounds[name] is not None and bounds[name] is not False]
    if len(given) != 1:
        raise click.UsageError("give one of --from-offset, --from-time, --from-earliest, --shift-by and --from-file")
    if (topic is None) != (given == ["from_file"]):
        raise click.UsageError("give --topic, unless --from-file names topics and partitions itself")
    return of_options[given[0]](bounds[given[0]])


def _until(bounds: dict[str, Any]) -> End | None:
    if bounds["until_offset"] is not None and bounds["until_time"] is not None:
        raise click.UsageError("give one of --until-offset and --until-time")
    if bounds["until_offset"] is not None:
        return AtOffset(bounds["until_offset"])
    return AtTime(bounds["until_time"]) if bounds["until_time"] is not None else None


def _listed(path: Path, group: str) -> Any:
    try:
        return read_offsets(path, group)
    except ListError as error:
        raise click.UsageError(str(error)) from None


@click.group("replay", invoke_without_command=True, epilog=example(_EXAMPLE))
@config_option
@properties_option
@_selection_options
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the offsets at which it begins, in the form of --from-file.",
)
@click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
@click.option("--rate", metavar="2000/s", callback=rate, help="The most events per second, over all workers.")
@click.option("--wait", is_flag=True, help="With --execute: show the progress, and return when all is settled.")
@click.option(
    "--by", metavar="NAME", help="Who does it, for requested_by; default: the OS user, host and database user."
)
@plan_option
@json_option
@click.pass_context
def replay(
    context: click.Context,
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    request: Callable[[str], Request],
    export: Path | None,
    rate: int | None,
    execute: bool,
    wait: bool,
    by: str | None,
    shown: str | None,
    as_json: bool,
) -> int:
    """Process settled events again, while the sink runs.

    Shows the plan; --execute carries it out: the ledger goes back, and the running sink follows within seconds, or
    the next one does when it starts. Applied events are not applied again, except with --mode force.
    """
    if context.invoked_subcommand is not None:
        return DONE
    if wait and not execute:
        raise click.UsageError("--wait needs --execute")
    settings = sink_settings(config, properties)
    asked = request(settings.kafka.group_id)
    begins = execute and asked.mode is not Mode.SHADOW
    seconds = _COUNT_SECONDS_OF_EXECUTE if execute else _COUNT_SECONDS
    outcome = replay_planned(
        settings, asked, execute=begins, by=by, count_seconds=seconds, per_second=rate, shown=shown
    )
    if export is not None and not outcome.plan.refusals:
        _export(export, outcome)
    if asked.mode is Mode.SHADOW and execute and not outcome.plan.refusals:
        return _shadow(settings, asked, outcome, as_json=as_json)
    code = _report(asked, outcome, as_json=as_json)
    if wait and outcome.replay_id is not None:
        return _wait(settings, outcome.replay_id)
    return code


def _export(path: Path, outcome: Outcome) -> None:
    try:
        write_offsets(path, {step.address: step.from_offset for step in outcome.plan.steps})
    except ListError as error:
        raise click.UsageError(str(error)) from None


def _report(request: Request, outcome: Outcome, *, as_json: bool) -> int:
    if as_json:
        print_json(plan_json(request, outcome))
    else:
        print_lines(plan_lines(request, outcome))
        for note in outcome.plan.notes:
            notice(note)
        for refusal in outcome.plan.refusals:
            notice(refusal)
    if outcome.stale:
        return report_stale_plan()
    return USAGE if outcome.plan.refusals else DONE


def _wait(settings: Settings, replay_id: int) -> int:
    state = shown_until_settled(lambda: read_replays(settings.database, replay_id)[0])
    if state is not ReplayState.SETTLED:
        notice(ended_otherwise(replay_id, state))
        return FAILURE
    return DONE


def _shadow(settings: Settings, request: Request, outcome: Outcome, *, as_json: bool) -> int:
    found = shadow(settings, outcome.plan, route=request.route)
    if as_json:
        print_json(shadow_json(request, outcome, found))
    else:
        print_lines(shadow_lines(found))
    return FAILURE if any(each.fails_now for each in found) else DONE


@replay.command("list", epilog=example("inbox replay list --json"))
@config_option
@json_option
def list_(config: Path | None, as_json: bool) -> None:
    """List the replays, the newest last: who started them, and how far they are."""
    found = read_replays(database_settings(config).database)
    if as_json:
        print_json({"replays": [replay_json(each) for each in found]})
    elif found:
        print_table(replays_table(found))
    else:
        print_text("nothing was replayed yet")


@replay.command("cancel", epilog=example("inbox replay cancel 4 --execute"))
@config_option
@click.argument("replay_id", metavar="ID", type=int)
@click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
@json_option
def cancel_(config: Path | None, replay_id: int, execute: bool, as_json: bool) -> int:
    """End a replay early; the sink continues from where the ledger stood before it.

    Offsets that it settled again stay settled. Nothing is lost: the others were settled before it began.
    """
    options = database_settings(config).database
    found = next(iter(read_replays(options, replay_id)), None)
    if found is None:
        notice(f"there is no replay {replay_id}; `inbox replay list` lists those that there are")
        return FAILURE
    if found.state is not ReplayState.RUNNING:
        notice(f"replay {replay_id} is {found.state.value} already")
        return FAILURE
    if execute:
        found = cancel(options, replay_id) or found
    if as_json:
        print_json({"executed": execute, **replay_json(found)})
        return DONE
    for each in found.ranges:
        print_text(
            f"{each.address}: at {each.next_offset} of {each.from_offset} up to {each.until_offset}; "
            f"continues from {each.ledger_offset}"
        )
    print_text(
        f"replay {replay_id} is {found.state.value}" if execute else "nothing was changed; add --execute to do it"
    )
    return DONE
