"""The drill: thousands of dead letters of three causes, resolved by the page's commands while the sink runs."""

import io
import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from inbox.cli.program import result_of
from tests.drill.conftest import MakeIncident
from tests.drill.incident import Incident, Size, orders_of
from tests.drill.page import PAGE, causes, steps
from tests.support.waiting import eventually

SIZE = Size(
    events=int(os.environ.get("DRILL_EVENTS", "5000")),
    poison=int(os.environ.get("DRILL_POISON", "300")),
    keys=int(os.environ.get("DRILL_KEYS", "40")),
)
SECONDS_OF_TYPING = float(os.environ.get("DRILL_TYPING_SECONDS", "0"))
"""The time that the person of the drill takes for a command."""

WIDTH, HEIGHT = 100, 30
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_WRITTEN_OVER = re.compile(r"^.*\r", re.MULTILINE)
WITHIN_SECONDS = 300.0
NEXT = re.compile(r"`?inbox [a-z-]+|--execute|every offset is accounted for|: 0 parked, 0 waiting")
"""The next step, or that nothing is left to do."""

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]


@pytest.fixture
def incident(make_incident: MakeIncident) -> Incident:
    return make_incident(orders_of(SIZE))


class Screen(io.StringIO):
    """What a command prints on a terminal."""

    def isatty(self) -> bool:
        return True


class Terminal:
    """A person who types the page's commands, and reads what they say."""

    def __init__(self, incident: Incident, directory: Path) -> None:
        self._incident = incident
        self._directory = directory
        self.names: dict[str, str] = {}
        self.faults: list[str] = []
        self.seconds = 0.0

    def do(self, kind: str, text: str) -> None:
        if kind == "sh":
            text = re.sub(r"\w+", lambda word: self.names.get(word[0], word[0]), text)
        if kind == "sql":
            self._incident.sql(text)
        elif kind == "json":
            (self._directory / "fixed.json").write_text(text)
        else:
            self._type(text)

    def _type(self, command: str) -> None:
        arguments = shlex.split(command)[1:]
        since = time.monotonic()
        code, out = self._run([each.replace("fixed.json", str(self._directory / each)) for each in arguments])
        took = time.monotonic() - since
        self.seconds += took
        print(f"\n$ {command}   ({took:.1f} s)\n{out}", end="")
        lines = out.splitlines()
        if code != 0:
            self.faults.append(f"{command}: exit code {code}")
        # A terminal folds a line that is too long.
        if (rows := sum(-(-max(1, len(line)) // WIDTH) for line in lines)) > HEIGHT:
            self.faults.append(f"{command}: {rows} rows of {WIDTH} columns")
        if not NEXT.search(out) and arguments[0] != "history":
            self.faults.append(f"{command}: names no next step")
        time.sleep(SECONDS_OF_TYPING)

    def _run(self, arguments: list[str]) -> tuple[int, str]:
        out = Screen()
        with redirect_stdout(out), redirect_stderr(out):
            code = result_of([*arguments, "--config", str(self._incident.config)])
        return code, _WRITTEN_OVER.sub("", _CONTROLS.sub("", out.getvalue()))

    def causes(self) -> list[dict[str, object]]:
        _, out = self._run(["dead-letters", "causes", "--json"])
        return list(json.loads(out)["causes"])


@contextmanager
def under_load(incident: Incident) -> Iterator[None]:
    incident.send_half()
    ends = dict(incident.ends)
    with incident.sink(), incident.sending(per_second=SIZE.events / 240):
        eventually(lambda: incident.has_passed(ends), within=WITHIN_SECONDS, what="all of the poison to be met")
        yield


def test_every_event_is_accounted_for_by_the_commands_of_the_page(
    incident: Incident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("LINES", str(HEIGHT))
    text = PAGE.read_text()
    person = Terminal(incident, tmp_path)
    [comma] = [each for each in incident.orders if "," in each.amount]
    fixed = replace(comma, amount="12.50")
    with under_load(incident):
        found = person.causes()
        for (cause, example), here in zip(causes(text), found, strict=True):
            person.names |= {cause: str(here["cause"]), example: str(here["example"])}
        for kind, step in steps(text):
            if step == "inbox audit":
                incident.hurry.set()
                eventually(lambda: incident.settled() >= SIZE.events, within=WITHIN_SECONDS, what="the end of the log")
            person.do(kind, json.dumps(fixed.document) if kind == "json" else step)
    print(f"\nthe commands took {person.seconds:.0f} s")
    assert incident.wrong(fixed)[:3] == []
    assert "\n".join(person.faults) == ""
