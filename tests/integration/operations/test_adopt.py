"""`inbox adopt`: events that took effect before the inbox did are duplicates when they come."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from inbox.sink.event_id import as_id, namespace_of
from inbox.store.inbox.claims import ClaimStore
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE
from tests.support.sink.logs import apply, effects
from tests.support.sink.running import Out, Sink


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


Adopt = Callable[..., Result]


@pytest.fixture
def adopt(capsys: pytest.CaptureFixture[str]) -> Adopt:
    """Runs `inbox adopt --json` for the table `had`: `adopt(sink, "--execute")`."""

    def run(sink: Sink, *arguments: str, column: str = "event_id", json: bool = True) -> Result:
        capsys.readouterr()
        of = ("--route", "handler", "--table", "public.had", "--event-id-column", column)
        code = sink.command("adopt", *of, *arguments, *(["--json"] if json else []))
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def moving(handled_by: Callable[..., Sink]) -> Sink:
    """Events 1 to 5 are in Kafka; 1 to 3 took effect before, in a table that something else filled."""
    sink = handled_by(apply)
    sink.sql("CREATE TABLE had (event_id uuid, reference text, number bigint)")
    sink.sql("INSERT INTO had SELECT lpad(to_hex(n), 32, '0')::uuid, 'ref-' || n, n FROM generate_series(1, 3) AS n")
    sink.send(*(Out(number) for number in range(1, 6)))
    return sink


def test_the_plan_counts_and_changes_nothing(moving: Sink, adopt: Adopt) -> None:
    moving.sql("INSERT INTO had (event_id) VALUES (NULL), (%s)", [UUID(int=3)])
    assert adopt(moving).told == {
        "route": "handler",
        "table": "public.had",
        "event_id_column": "event_id",
        "executed": False,
        "rows": 5,
        "null": 1,
        "no_id": 0,
        "duplicates": 1,
        "ids": 3,
        "claimed": 0,
        "adopted": 3,
    }
    assert moving.sql("SELECT FROM inbox.processed") == []
    assert moving.sql("SELECT FROM inbox.routes") == []


def test_what_was_adopted_is_not_applied_again(moving: Sink, adopt: Adopt, capsys: pytest.CaptureFixture[str]) -> None:
    assert adopt(moving, "--execute").told["adopted"] == 3
    moving.run()
    assert effects(moving) == [4, 5]
    assert moving.dead_letters() == []  # another payload than the adopted one's is nothing that anybody knows
    assert moving.endings() == {"applied": 2, "duplicate": 3}
    capsys.readouterr()
    assert moving.command("audit", "--json") == 0
    [part] = json.loads(capsys.readouterr().out)["partitions"]
    assert (part["applied"], part["adopted"], part["duplicate"]) == (5, 3, 0)


def test_the_payload_of_an_adopted_event_stays_unknown_when_it_was_applied_again(moving: Sink, adopt: Adopt) -> None:
    assert adopt(moving, "--execute").told["adopted"] == 3
    moving.run()
    assert moving.command("replay", "--topic", moving.topic, "--from-earliest", "--mode", "force", "--execute") == 0
    moving.run()
    assert effects(moving) == [4, 5, 1, 2, 3, 4, 5]
    moving.send(Out(1, {"n": 1}), Out(5, {"n": 1}))
    moving.run()
    assert moving.dead_letters() == [(6, "parked")]


def test_one_that_was_interrupted_goes_on(moving: Sink, adopt: Adopt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inbox.operations.adopt._IDS_AT_ONCE", 2)
    claim, calls = ClaimStore.claim, []

    def stopped(*arguments: Any) -> list[int]:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return claim(*arguments)

    monkeypatch.setattr(ClaimStore, "claim", stopped)
    assert adopt(moving, "--execute").code == 130
    assert moving.column("SELECT count(*) FROM inbox.processed") == [2]
    monkeypatch.setattr(ClaimStore, "claim", claim)
    assert (adopt(moving).told["claimed"], adopt(moving).told["adopted"]) == (2, 1)
    told = adopt(moving, "--execute").told
    assert (told["ids"], told["claimed"], told["adopted"]) == (3, 2, 1)
    assert moving.column("SELECT count(*) FROM inbox.processed") == [3]


def test_texts_and_numbers_are_identified_as_the_sink_does_it(moving: Sink, adopt: Adopt) -> None:
    moving.sql("UPDATE had SET reference = '' WHERE number = 2")
    told = adopt(moving, "--execute", column="reference").told
    assert (told["no_id"], told["adopted"]) == (1, 2)
    assert adopt(moving, "--execute", column="number").told["adopted"] == 3
    of_topic, of_source = namespace_of(moving.topic), namespace_of("/shop")
    expected = {as_id(text, of_topic) for text in ("ref-1", "ref-3", "1", "2", "3")}
    assert {UUID(str(each)).bytes for each in moving.column("SELECT event_id FROM inbox.processed")} == expected
    assert adopt(moving, "--execute", "--source", "/shop", column="reference").told["adopted"] == 2
    sourced = as_id("ref-1", of_source)
    assert moving.column("SELECT count(*) FROM inbox.processed WHERE event_id = %s", [UUID(bytes=sourced)]) == [1]


def test_a_uuid_as_text_is_one_id_in_either_case(moving: Sink, adopt: Adopt) -> None:
    moving.sql("UPDATE had SET reference = CASE number WHEN 1 THEN %s WHEN 2 THEN %s ELSE %s END", [*CASES])
    told = adopt(moving, "--execute", column="reference").told
    assert (told["ids"], told["duplicates"]) == (2, 1)


CASES = ("6F9619FF-8B86-D011-B42D-00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "no uuid")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--route", "nonsense"), "there is no route nonsense; the configuration has handler"),
        (("--table", "nonsense"), 'the table "nonsense" does not exist'),
        (("--event-id-column", "nonsense"), 'has no column "nonsense"; it has event_id, reference, number'),
        (("--topic", "nonsense"), "route handler has no topic nonsense"),
    ],
)
def test_what_is_not_there_is_refused(moving: Sink, adopt: Adopt, arguments: tuple[str, str], text: str) -> None:
    result = adopt(moving, *arguments)
    assert result.code == 3
    assert text in result.err


def test_coordinates_are_in_no_column(sink: Sink, offer: Callable[..., None], adopt: Adopt) -> None:
    offer(handler=apply)
    sink.configure(HANDLER_ROUTE + 'event_id = "coordinates"\n')
    sink.sql(EFFECTS)
    result = adopt(sink)
    assert result.code == 3
    assert 'event_id = "coordinates": it keeps no claims, and no column holds the coordinates of an event' in result.err


def test_people_read_what_would_be_done(moving: Sink, adopt: Adopt) -> None:
    result = adopt(moving, json=False)
    assert result.out == (
        "public.had: 3 rows, 3 different event ids in event_id\n"
        "3 claims would be made for route handler\nnothing was changed; add --execute to do it\n"
    )
