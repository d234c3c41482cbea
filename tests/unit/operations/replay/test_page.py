"""docs/how-to/replay.md and upgrade-a-handler.md show what the program says, word for word."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from inbox.cli.program import program
from inbox.cli.progress import NOTHING_MOVES, ended_otherwise
from inbox.cli.reports.replay import plan_lines, shadow_lines
from inbox.operations.replay.offsets_file import ListError, read_offsets
from inbox.operations.replay.plan import AtOffset, ShiftedBy, plan
from inbox.operations.replay.preview import Count, Counted
from inbox.operations.replay.replay import Outcome
from inbox.operations.replay.trial import RouteTrial
from inbox.store.inbox.replays import Mode, ReplayState
from tests.unit.operations.replay.test_plan import FIRST, NOON, REFUSED, SECOND, facts, request

HOW_TO = Path(__file__).parents[4] / "docs/how-to"
REPLAY = (HOW_TO / "replay.md").read_text(encoding="utf-8")
UPGRADE = (HOW_TO / "upgrade-a-handler.md").read_text(encoding="utf-8")

COUNT = Count(records=200, applied=188, duplicate=3, filtered=6, dead_letters=2, lacking=1)


def outcome(mode: Mode, *, counted: bool = True, replay_id: int | None = None) -> Iterator[str]:
    asked = request(AtOffset(1000), AtOffset(1200), mode=mode)
    found = Counted(counts={FIRST: COUNT} if counted else {}, since={FIRST: NOON})
    return plan_lines(asked, Outcome(plan=plan(asked, facts()), counted=found, replay_id=replay_id, token="3f9a01cd"))


@pytest.mark.parametrize("what", REFUSED)
def test_every_refusal_is_shown(what: str) -> None:
    for refusal in plan(*REFUSED[what]).refusals:
        assert f"inbox: {refusal}" in REPLAY


def test_notes_are_shown() -> None:
    for note in plan(request(ShiftedBy(-2000), partitions=None), facts(stands={FIRST: 1842, SECOND: 0})).notes:
        assert f"inbox: {note}" in REPLAY


@pytest.mark.parametrize("mode", [Mode.SKIP_APPLIED, Mode.FORCE])
def test_every_plan_is_shown(mode: Mode) -> None:
    for lines in (outcome(mode), outcome(mode, counted=False), outcome(mode, replay_id=4)):
        for line in lines:
            assert line in REPLAY


def test_a_shadow_is_shown() -> None:
    trial = RouteTrial(route="reserve-stock", applied=190, failed=1, duplicate=3, filtered=6, fails_now=1, passes_now=2)
    trial.examples = [("orders[0]@1017", "the quantity is not positive")]
    for line in [*outcome(Mode.SHADOW), *shadow_lines([trial]), *shadow_lines([replace(trial, fails_now=0)])]:
        assert line in UPGRADE


def test_what_waiting_says_is_shown() -> None:
    assert f"inbox: {NOTHING_MOVES}" in REPLAY
    assert f"inbox: {ended_otherwise(4, ReplayState.CANCELLED)}" in REPLAY


@pytest.mark.parametrize(
    "arguments",
    [
        ["--topic", "orders"],
        ["--from-earliest"],
        ["--topic", "orders", "--from-earliest", "--until-offset", "5", "--until-time", "2h"],
        ["--topic", "orders", "--from-earliest", "--wait"],
        ["--topic", "orders", "--from-time", "yesterday"],
    ],
)
def test_every_wrong_usage_is_shown(arguments: list[str], tmp_path: Path) -> None:
    configuration = tmp_path / "inbox.toml"
    configuration.write_text(
        '[sink]\nname = "s"\n[database]\nurl = "postgresql://nobody@127.0.0.1:1/none"\n'
        '[kafka]\n"bootstrap.servers" = "127.0.0.1:1"\n[[routes]]\ntopic = "orders"\nhandler = "h"\n'
    )
    result = CliRunner().invoke(program, ["replay", *arguments, "--config", str(configuration)], standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    assert result.exception.format_message() in REPLAY


@pytest.mark.parametrize(
    ("text", "line"),
    [("orders,0\n", 1), ("orders,0,1\norders,0,2\n", 2), ("another,orders,0,1\n", None), (None, None)],
)
def test_every_error_of_a_file_is_shown(text: str | None, line: int | None, tmp_path: Path) -> None:
    file = tmp_path / "offsets.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ListError) as error:
        read_offsets(file, "inventory")
    assert str(error.value).replace(str(tmp_path) + "/", "").replace(f"'{file}'", "'offsets.csv'") in REPLAY


def test_files_of_several_groups_and_quoted_names(tmp_path: Path) -> None:
    file = tmp_path / "offsets.csv"
    file.write_text('inventory,"orders.of.a.rather.long.name",3,17\nother,orders,0,1\n')
    assert read_offsets(file, "inventory") == {("orders.of.a.rather.long.name", 3): 17}
