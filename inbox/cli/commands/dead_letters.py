"""The command `inbox dead-letters`: the parked events, shown and resolved."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import click

from inbox.cli.arguments import selection_options, where
from inbox.cli.options import (
    Command,
    config_option,
    database_settings,
    example,
    json_option,
    plan_option,
    properties_option,
    sink_settings,
)
from inbox.cli.output import is_screen, notice, print_json, print_lines, print_text
from inbox.cli.reports.causes import causes_json, causes_lines
from inbox.cli.reports.dead_letter_plans import (
    MOST_FAILED_SHOWN,
    MOST_SHOWN,
    discard_plan_lines,
    discard_total_lines,
    discarded_lines,
    discarded_summary,
    edited_json,
    edited_lines,
    parking_json,
    parking_lines,
    plan_json,
    redaction_json,
    redaction_lines,
    retried_json,
    retried_lines,
    retried_summary,
    retry_plan_lines,
    retry_total_lines,
)
from inbox.cli.reports.dead_letters import MOST_LISTED, brief_row, letter_json, letter_lines, letters_table
from inbox.cli.tables import print_rows, print_table
from inbox.events import Header, TopicPartition
from inbox.operations.dead_letters.edit import EditRequest
from inbox.operations.dead_letters.edit import edit as edit_letter
from inbox.operations.dead_letters.park import ParkRequest
from inbox.operations.dead_letters.park import park as park_event
from inbox.operations.dead_letters.plan import Plan, UnitPlan, plan_discard, plan_retry, read_causes, read_letters
from inbox.operations.dead_letters.redact import redact as redact_letters
from inbox.operations.dead_letters.resolve import MOST_FAILED_IN_A_ROW
from inbox.operations.dead_letters.resolve import discard as discard_planned
from inbox.operations.dead_letters.resolve import retry as retry_planned
from inbox.process.exit_codes import DONE, FAILURE
from inbox.sink.letters.resolver import Retried
from inbox.store.inbox.dead_letter_queries import Letter, Selection


def _execute_options(command: Command) -> Command:
    execute = click.option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
    who = click.option(
        "--by", metavar="NAME", help="Who does it, for resolved_by; default: the OS user, host and database user."
    )
    return execute(who(command))


@click.group("dead-letters", epilog=example("inbox dead-letters causes\ninbox dead-letters retry --cause 9c41f0aa"))
def dead_letters() -> None:
    """Inspect, retry or discard the events that could not be applied."""


@dead_letters.command("list", epilog=example("inbox dead-letters list --topic orders --older-than 1h"))
@config_option
@selection_options(everything="Include those that were retried or discarded.")
@click.option("--payload", is_flag=True, help="Add key, value and headers as they came; only with --json.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_(config: Path | None, selection: Selection, everything: bool, payload: bool, as_json: bool) -> int:
    """List dead letters in the order of their keys: those with the IDs, or all open ones."""
    if payload and not as_json:
        raise click.UsageError("--payload needs --json; `inbox dead-letters show ID --payload` shows one to people")
    options = database_settings(config).database
    found = read_letters(options, selection, resolved_too=everything or selection.ids is not None, whole=payload)
    listed = _print_objects(found, payload=payload) if as_json else _print_people(list(found))
    return _unknown([each for each in selection.ids or () if each not in listed])


def _print_objects(letters: Iterable[Letter], *, payload: bool) -> set[int]:
    listed = set()
    for letter in letters:
        listed.add(letter.dead_letter_id)
        print_json(letter_json(letter, payload=payload))
    return listed


def _print_people(letters: Sequence[Letter]) -> set[int]:
    if is_screen() and (rest := len(letters) - MOST_LISTED) > 0:
        print_rows([brief_row(each) for each in letters[:MOST_LISTED]])
        print_text(f"and {rest} more: `inbox dead-letters causes` groups them; --json, or a pipe, lists all")
    elif letters:
        print_table(letters_table(letters))
    else:
        print_text("no dead letter fits")
    return {letter.dead_letter_id for letter in letters}


@dead_letters.command(epilog=example("inbox dead-letters causes\ninbox dead-letters causes --json"))
@config_option
@json_option
def causes(config: Path | None, as_json: bool) -> int:
    """Group the parked events by the cause of their failure, the most frequent cause first.

    Errors that differ only in ids, numbers or quoted parts have one cause. `list`, `retry` and `discard` take a
    cause's id as --cause.
    """
    found = read_causes(database_settings(config).database)
    if as_json:
        print_json(causes_json(found))
    else:
        print_lines(causes_lines(found))
    return DONE


@dead_letters.command(epilog=example("inbox dead-letters show 17 --payload"))
@config_option
@click.argument("dead_letter_id", metavar="ID", type=int)
@click.option("--payload", is_flag=True, help="Show key, value and headers too, as they came.")
@json_option
def show(config: Path | None, dead_letter_id: int, payload: bool, as_json: bool) -> int:
    """Show one dead letter: its origin, its error, and what became of it."""
    options = database_settings(config).database
    selection = Selection(ids=(dead_letter_id,))
    for letter in read_letters(options, selection, resolved_too=True, whole=payload):
        if as_json:
            print_json(letter_json(letter, payload=payload))
        else:
            print_text("\n".join(letter_lines(letter, payload=payload, screen=is_screen())))
        return DONE
    return _unknown([dead_letter_id])


@dead_letters.command(
    epilog=example("inbox dead-letters retry --error 'no stock'\ninbox dead-letters retry 17 --execute")
)
@config_option
@properties_option
@selection_options(everything="All that are open.")
@_execute_options
@plan_option
@click.option("--keep-going", is_flag=True, help="Try all keys, even if many in a row fail again.")
@json_option
def retry(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    selection: Selection,
    everything: bool,
    execute: bool,
    by: str | None,
    shown: str | None,
    keep_going: bool,
    as_json: bool,
) -> int:
    """Apply dead letters exactly once, while the sink runs.

    All open events of a key are applied in order, up to the first that fails again. An event without a key stands
    alone. The command stops after 20 keys in a row that failed again: the cause is still there. The exit code is 1
    if an event failed again.
    """
    _require_some(selection, everything)
    settings = sink_settings(config, properties)
    plan = plan_retry(settings, selection)
    outcomes: list[Retried] | None = None
    stale = _is_stale(plan, shown, execute=execute)
    if execute and not plan.unknown and not stale:
        outcomes = []
        most_failed = None if keep_going else MOST_FAILED_IN_A_ROW
        failed = 0
        for unit, outcome in retry_planned(settings, plan, by=by, most_failed=most_failed):
            outcomes.append(outcome)
            failed += bool(outcome.failed)
            if failed <= MOST_FAILED_SHOWN if outcome.failed else len(plan.units) <= MOST_SHOWN:
                _say(retried_lines(unit, outcome), as_json=as_json)
        if len(plan.units) > MOST_SHOWN or failed > MOST_FAILED_SHOWN:
            _say(retried_summary(outcomes), as_json=as_json)
        _note_untried(plan, len(outcomes))
    if as_json:
        print_json(
            plan_json(plan, "retry", [retried_json(each) for each in outcomes] if outcomes is not None else None)
        )
    any_failed = any(each.failed for each in outcomes or ())
    ended = _end(plan, _Shown(retry_plan_lines, retry_total_lines), executed=outcomes is not None, as_json=as_json)
    return max(ended, int(any_failed or stale))


@dead_letters.command(epilog=example("inbox dead-letters discard 17 --execute --reason 'ticket 4711: test orders'"))
@config_option
@selection_options(everything="All that are open.")
@click.option("--reason", metavar="TEXT", help="The reason, which `inbox history` shows.")
@_execute_options
@plan_option
@json_option
def discard(
    config: Path | None,
    selection: Selection,
    everything: bool,
    reason: str | None,
    execute: bool,
    by: str | None,
    shown: str | None,
    as_json: bool,
) -> int:
    """Give up dead letters for good: later duplicates of these events are not applied either.

    Events that wait behind them stay, and are reported with the command that applies them.
    """
    _require_some(selection, everything)
    options = database_settings(config).database
    plan = plan_discard(options, selection)
    outcomes: list[dict[str, Any]] | None = None
    stale = _is_stale(plan, shown, execute=execute)
    if execute and not plan.unknown and not stale:
        outcomes = []
        for unit, count in discard_planned(options, plan, by=by, reason=reason):
            outcomes.append({"discarded": count})
            if len(plan.units) <= MOST_SHOWN:
                _say(discarded_lines(unit, count), as_json=as_json)
        if len(plan.units) > MOST_SHOWN:
            total = sum(each["discarded"] for each in outcomes)
            _say(discarded_summary(plan, total), as_json=as_json)
    if as_json:
        print_json(plan_json(plan, "discard", outcomes))
    ended = _end(plan, _Shown(discard_plan_lines, discard_total_lines), executed=outcomes is not None, as_json=as_json)
    return max(ended, int(stale))


@dead_letters.command(
    epilog=example(
        "inbox dead-letters edit 17 --value fixed.json\n"
        "inbox dead-letters edit 17 --value fixed.json --execute --by 'Ada, ticket 4711'"
    )
)
@config_option
@properties_option
@click.argument("dead_letter_id", metavar="ID", type=int)
@click.option(
    "--value", "file", metavar="FILE", type=click.File("rb"), help="The new value, byte for byte; - is stdin."
)
@click.option(
    "--header", "headers", metavar="K=V", multiple=True, help="A header, in place of all headers of this name."
)
@_execute_options
@json_option
def edit(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    dead_letter_id: int,
    file: IO[bytes] | None,
    headers: tuple[str, ...],
    execute: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """Replace the value or headers of an open dead letter, and keep the original beside them.

    Without --execute it shows what a retry would do with the new value, in a transaction that is rolled back. The
    event keeps its id. `retry` applies it afterwards.
    """
    if file is None and not headers:
        raise click.UsageError("give --value FILE or --header K=V")
    request = EditRequest(
        dead_letter_id=dead_letter_id,
        value=None if file is None else file.read(),
        headers=tuple(_header(text) for text in headers),
    )
    edited = edit_letter(sink_settings(config, properties), request, execute=execute, by=by)
    if as_json:
        print_json(edited_json(edited, dead_letter_id))
    else:
        print_lines(edited_lines(edited))
    if edited.refusal is not None:
        notice(f"{edited.refusal}; nothing was changed")
        return FAILURE
    return DONE


@dead_letters.command(
    epilog=example(
        "inbox dead-letters redact --older-than 14d\ninbox dead-letters redact 17 18 --execute --by 'Ada, ticket 4711'"
    )
)
@config_option
@selection_options(everything="All that are resolved.")
@_execute_options
@json_option
def redact(
    config: Path | None, selection: Selection, everything: bool, execute: bool, by: str | None, as_json: bool
) -> int:
    """Remove the payloads of dead letters for good: of those with the IDs, or of resolved ones that match the filters.

    Value, headers and the error's detail are removed, and the key too if the dead letter is resolved. The record
    that it was parked, and what became of it, stays. An open one can then be applied by a replay only.
    """
    _require_some(selection, everything)
    done = redact_letters(database_settings(config).database, selection, execute=execute, by=by)
    if as_json:
        print_json(redaction_json(done))
    else:
        print_lines(redaction_lines(done))
    return DONE


def _header(text: str) -> Header:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter("expected K=V, as in type=OrderCreated", param_hint="--header")
    return name, value.encode(errors="surrogateescape")


@dead_letters.command(
    epilog=example(
        "inbox dead-letters park --topic orders:3 --offset 1842 --reason 'ticket 4711: its trigger fails'\n"
        "inbox dead-letters park --topic orders:3 --offset 1842 --reason 'ticket 4711' --execute"
    )
)
@config_option
@properties_option
@click.option("--topic", metavar="T:P", required=True, help="The topic and the partition, as in orders:3.")
@click.option("--offset", metavar="N", required=True, type=click.IntRange(min=0), help="The event's offset.")
@click.option("--reason", metavar="TEXT", required=True, help="The reason, which becomes the error of the dead letter.")
@click.option("--route", metavar="NAME", help="For this route alone; default: for all that take the event.")
@_execute_options
@json_option
def park(
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    topic: str,
    offset: int,
    reason: str,
    route: str | None,
    execute: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """Make a dead letter of an event that is not settled yet, so that its partition continues without it.

    The sink does not try the event. With order = "key" later events of its key wait behind it. `retry` and
    `discard` treat it like any other. The running sink follows within seconds, or the next one does when it starts.
    """
    name, partitions = where(topic)
    if partitions is None or len(partitions) != 1:
        raise click.UsageError("--topic names one partition here, as in orders:3")
    request = ParkRequest(at=TopicPartition(name, partitions[0]), offset=offset, reason=reason, route=route)
    parking = park_event(sink_settings(config, properties), request, execute=execute, by=by)
    if as_json:
        print_json(parking_json(parking))
    else:
        print_lines(parking_lines(parking))
    if parking.refusal is not None:
        notice(f"{parking.refusal}; nothing was changed")
        return FAILURE
    return DONE


def _require_some(selection: Selection, everything: bool) -> None:
    if selection == Selection() and not everything:
        raise click.UsageError("name IDs, or a filter such as --topic, or --all")


def _is_stale(plan: Plan, shown: str | None, *, execute: bool) -> bool:
    """Return whether a person has seen another plan than this one, and say so."""
    if not execute or shown in (None, plan.token):
        return False
    notice(
        f"plan {shown} is out of date: its dead letters changed, or another command or worker took their partitions "
        f"over; nothing was changed, and the plan of now is {plan.token}"
    )
    return True


def _note_untried(plan: Plan, tried: int) -> None:
    if untried := len(plan.units) - tried:
        notice(
            f"stopped after {MOST_FAILED_IN_A_ROW} keys in a row failed again; {untried} keys were not tried. "
            "`inbox dead-letters causes` shows what they fail with now; fix it, or add --keep-going"
        )


def _say(lines: Iterable[str], *, as_json: bool) -> None:
    if not as_json:
        print_lines(lines)


_NOTHING = "nothing was changed; add --execute to do it, and --plan {} to do this or nothing"


class _Shown(NamedTuple):
    """The lines of a plan: for one of its keys, and for the whole."""

    unit: Callable[[UnitPlan], list[str]]
    total: Callable[[Plan], list[str]]


def _end(plan: Plan, shown: _Shown, *, executed: bool, as_json: bool) -> int:
    """Print what remains to be said about the plan, and return the exit code."""
    for letter in plan.resolved[:MOST_SHOWN]:
        notice(f"dead letter {letter.dead_letter_id} was {letter.state.value} before, by {letter.resolved_by}")
    if rest := plan.resolved[MOST_SHOWN:]:
        notice(f"and {len(rest)} more were resolved before; `inbox dead-letters list ID...` says by whom")
    if not plan.units:
        _say(
            ["no open dead letter fits; there is nothing to do. `inbox dead-letters causes` groups what is parked"],
            as_json=as_json,
        )
    elif not executed:
        for unit in plan.units[:MOST_SHOWN]:
            _say(shown.unit(unit), as_json=as_json)
        if more := plan.units[MOST_SHOWN:]:
            events = sum(len(unit.letters) for unit in more)
            _say([f"and {len(more)} more keys with {events} events; --json lists all"], as_json=as_json)
        _say([*shown.total(plan), _NOTHING.format(plan.token)], as_json=as_json)
    else:
        _say(["`inbox dead-letters causes` shows what is still parked"], as_json=as_json)
    return _unknown(plan.unknown)


def _unknown(ids: Sequence[int]) -> int:
    if not ids:
        return DONE
    some = ", ".join(map(str, ids))
    notice(f"there is no dead letter {some}; `inbox dead-letters list --all` lists those that there are")
    return FAILURE
