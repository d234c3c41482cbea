"""The command `inbox test`: it runs the tests of routes, without Kafka."""

from pathlib import Path

import click

from inbox.cli.options import config_option, example, json_option, properties_option, sink_settings, without_login
from inbox.cli.output import print_json, print_lines
from inbox.operations.route_tests.run import Tested, run_tests
from inbox.process.exit_codes import DONE, FAILURE


@click.command(
    epilog=example(
        "inbox test tests/orders.toml\ninbox test tests/orders.toml --database postgresql://me@localhost/tests"
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@config_option
@properties_option
@click.option(
    "--database",
    metavar="URL",
    callback=without_login,
    help="Use the tables of this database. Each test is rolled back; default: a new database on the configured server.",
)
@json_option
def test(
    files: tuple[Path, ...],
    config: Path | None,
    properties: tuple[tuple[str, str], ...],
    database: str | None,
    as_json: bool,
) -> int:
    """Send the events of each [[test]] through its route, and compare rows and dead letters with the expected ones.

    The exit code is 1 if a test fails, and 3 if a file or the configuration is wrong. No Kafka takes
    part. A new database is dropped at the end; the key `schema` of a file names the SQL that creates
    its tables.
    """
    settings = sink_settings(config, properties, database_url=database)
    found = run_tests(settings, files, in_place=database is not None)
    sound = not any(each.problems for each in found)
    if as_json:
        print_json({"ok": sound, "tests": [_as_json(each) for each in found]})
    else:
        print_lines(_lines(found))
    return DONE if sound else FAILURE


def _as_json(tested: Tested) -> dict[str, object]:
    return {
        "file": tested.file,
        "test": tested.name,
        "route": tested.route,
        "ok": not tested.problems,
        "problems": list(tested.problems),
    }


def _lines(found: list[Tested]) -> list[str]:
    lines = []
    for each in found:
        lines.append(f"{'failed' if each.problems else 'ok':<7} {each.file}: {each.name} (route {each.route})")
        lines += [f"        {problem}" for problem in each.problems]
    failed = sum(1 for each in found if each.problems)
    return [*lines, f"{len(found)} tests, {failed} failed"]
