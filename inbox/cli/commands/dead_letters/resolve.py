"""The commands `inbox dead-letters retry` and `discard`: a plan, and its execution beside the running sink."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click

from inbox.cli.arguments import selection_options
from inbox.cli.commands.dead_letters.options import execute_options, report_unknown, require_some
from inbox.cli.options import (
    config_option,
    database_settings,
    example,
    json_option,
    plan_option,
    properties_option,
    sink_settings,
)
from inbox.cli.output import notice, print_json, print_lines
from inbox.cli.reports.dead_letter_plans import (
    MOST_FAILED_SHOWN,
    MOST_SHOWN,
    discard_plan_lines,
    discard_total_lines,
    discarded_lines,
    discarded_summary,
    plan_json,
    retried_json,
    retried_lines,
    retried_summary,
    retry_plan_lines,
    retry_total_lines,
)
from inbox.operations.dead_letters.plan import Plan, UnitPlan, plan_discard, plan_retry
from inbox.operations.dead_letters.resolve import MOST_FAILED_IN_A_ROW
from inbox.operations.dead_letters.resolve import discard as discard_planned
from inbox.operations.dead_letters.resolve import retry as retry_planned
from inbox.sink.letters.resolver import Retried
from inbox.store.inbox.dead_letter_queries import Selection


@click.command(epilog=example("inbox dead-letters retry --error 'no stock'\ninbox dead-letters retry 17 --execute"))
@config_option
@properties_option
@selection_options(everything="All that are open.")
@execute_options
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
    require_some(selection, everything)
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


@click.command(epilog=example("inbox dead-letters discard 17 --execute --reason 'ticket 4711: test orders'"))
@config_option
@selection_options(everything="All that are open.")
@click.option("--reason", metavar="TEXT", help="The reason, which `inbox history` shows.")
@execute_options
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
    require_some(selection, everything)
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


def _is_stale(plan: Plan, shown: str | None, *, execute: bool) -> bool:
    """Return whether a person has seen another plan than this one, and say so."""
    if not execute or shown in (None, plan.token):
        return False
    notice(
        f"plan {shown} is out of date: its dead letters changed, or another command or worker took their partitions "
        f"over; nothing was changed, and the present plan is {plan.token}"
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
    return report_unknown(plan.unknown)
