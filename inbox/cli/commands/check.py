"""The command `inbox check`: everything that a start needs, each with its remedy."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from inbox.cli.options import any_settings, config_option, example, json_option, properties_option
from inbox.cli.output import print_json, print_lines
from inbox.cli.redaction import of_command
from inbox.cli.tables import PlainTable, print_table
from inbox.operations.check.checks import CheckResult, Verdict
from inbox.operations.check.outbox import check_relay
from inbox.operations.check.sink import check as examine
from inbox.process.exit_codes import DONE, FAILURE
from inbox.settings import Settings

_STYLES = {Verdict.OK: "green", Verdict.ADVICE: "cyan", Verdict.FAILED: "bold red", Verdict.NOT_CHECKED: "yellow"}


@click.command(epilog=example("inbox check --config inbox.toml && inbox run --config inbox.toml"))
@config_option
@properties_option
@json_option
def check(config: Path | None, properties: tuple[tuple[str, str], ...], as_json: bool) -> int:
    """Check everything that a start needs, and report all problems together.

    Each problem comes with its remedy, and nothing is changed. Without [sink] and [[routes]] the relay is checked,
    which needs only [database], [kafka] and [outbox]. The exit code is 1 if anything is wrong (advice does not
    count), and 3 if the configuration itself cannot be used.
    """
    settings = any_settings(config, properties)
    found = examine(settings) if isinstance(settings, Settings) else check_relay(settings)
    findings = [_without_secrets(finding) for finding in found]
    sound = all(finding.verdict in (Verdict.OK, Verdict.ADVICE) for finding in findings)
    if as_json:
        print_json({"ok": sound, "checks": [_as_json(finding) for finding in findings]})
    elif sys.stdout.isatty():
        print_table(_table(findings))
    else:
        print_lines(_lines(findings))
    return DONE if sound else FAILURE


def _without_secrets(finding: CheckResult) -> CheckResult:
    return replace(finding, problems=[of_command().hidden_in_sentence(problem) for problem in finding.problems])


def _as_json(finding: CheckResult) -> dict[str, object]:
    return {"check": finding.subject, "result": finding.verdict.value, "problems": list(finding.problems)}


def _table(findings: Sequence[CheckResult]) -> PlainTable:
    table = PlainTable()
    table.add_columns("check", "result", "problem; remedy")
    for finding in findings:
        cells = (finding.subject, finding.verdict.value, "\n".join(finding.problems))
        table.add_row(*cells, styles={1: _STYLES[finding.verdict]})
    return table


def _lines(findings: Sequence[CheckResult]) -> list[str]:
    """Return a line for each check, and one for each further problem of a check."""
    return [
        f"{finding.verdict.value:<11}  {finding.subject}{f': {problem}' if problem else ''}"
        for finding in findings
        for problem in finding.problems or [""]
    ]
