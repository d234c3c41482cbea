"""Changes of a topic end as their table says, and audit, retry and replay decide as the sink did."""

import json

import pytest

from tests.support.changes import change
from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
name = "mirror"
topic = "TOPIC"
envelope = "debezium"
event_id = "debezium"
{more}
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["id"]
{table}
columns = {{ id = "/id", note = "/note" }}
"""


@pytest.fixture
def mirror(sink: Sink) -> Sink:
    """A sink with a route into the table `rows (id, note)`."""
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, note text)")
    sink.configure(ROUTE.format(more="", table=""))
    return sink


def out(op: str, number: int, note: str = "", *, lsn: int, ts_ms: int = 5) -> Out:
    row = {"before" if op == "d" else "after": {"id": number, "note": note}}
    return Out(None, change(op, lsn=lsn, ts_ms=ts_ms, **row), key=json.dumps({"id": number}))


def rows(sink: Sink) -> list[tuple[object, ...]]:
    return sink.sql("SELECT id, note FROM rows ORDER BY id")


def test_each_change_ends_as_the_audit_says_too(mirror: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    create = out("c", 1, "a", lsn=1)
    mirror.send(
        create,
        out("c", 2, "b", lsn=2),
        out("c", 1, "a", lsn=1, ts_ms=999),  # read again after a crash of the connector
        out("u", 1, "c", lsn=3),
        out("d", 2, lsn=4),
        Out(None, None, key='{"id": 2}'),
        Out(None, {"op": "m"}, key="x"),
        Out(None, {"id": 3}, key="y"),
    )
    mirror.run()
    assert rows(mirror) == [(1, "c")]
    assert mirror.endings() == {"applied": 4, "duplicate": 1, "filtered": 2, "dead_lettered": 1}
    capsys.readouterr()
    assert mirror.command("audit", "--json") == 0
    [found] = json.loads(capsys.readouterr().out)["partitions"]
    assert {name: found[name] for name in ("applied", "duplicate", "filtered", "dead_lettered", "missing")} == {
        "applied": 4, "duplicate": 1, "filtered": 2, "dead_lettered": 1, "missing": 0,
    }  # fmt: skip


def test_a_retry_reads_the_envelope_as_the_sink_does(mirror: Sink) -> None:
    mirror.sql("ALTER TABLE rows ADD CHECK (note <> 'bad')")
    mirror.send(out("c", 1, "bad", lsn=1), out("u", 1, "good", lsn=2), out("d", 2, lsn=3))
    mirror.run()
    assert mirror.dead_letters() == [(0, "parked"), (1, "waiting")]
    mirror.sql("ALTER TABLE rows DROP CONSTRAINT rows_note_check")
    assert mirror.command("dead-letters", "retry", "--all", "--execute") == 0
    assert rows(mirror) == [(1, "good")]


def test_a_truncate_that_was_parked_is_never_applied_behind_later_changes(mirror: Sink) -> None:
    mirror.send(Out(None, change("t", lsn=1)), out("c", 1, "a", lsn=2))
    mirror.run()
    assert mirror.dead_letters() == [(0, "parked")]
    mirror.configure(ROUTE.format(more='truncates = "apply"', table=""))
    mirror.command("dead-letters", "retry", "--all", "--execute")
    assert (rows(mirror), mirror.dead_letters()) == ([(1, "a")], [(0, "parked")])
    assert "cannot be applied behind" in mirror.column("SELECT error FROM inbox.dead_letters")[0]


def test_a_replay_applies_the_changes_in_their_order_again(mirror: Sink) -> None:
    mirror.send(out("c", 1, "a", lsn=1), out("d", 1, "a", lsn=2), out("c", 1, "b", lsn=3), out("c", 2, "x", lsn=4))
    mirror.run()
    mirror.sql("DELETE FROM rows")
    arguments = ("--topic", mirror.topic, "--from-earliest", "--mode", "force", "--execute")
    assert mirror.command("replay", *arguments) == 0
    mirror.run()
    assert rows(mirror) == [(1, "b"), (2, "x")]


def test_a_row_that_is_no_json_is_parked_alone(mirror: Sink) -> None:
    good = change("u", lsn=1, after={"id": 1, "note": "a"})
    broken = [
        good.replace(b'"a"', damage) for damage in (b"nul", b'"\x00"', b'"\xff"', b'"a",', b"1e4000", b'"\\u0000"')
    ]
    mirror.send(*(Out(None, value, key=f'{{"id":{at}}}') for at, value in enumerate([*broken, good])))
    mirror.run()
    assert rows(mirror) == [(1, "a")]
    assert mirror.dead_letters() == [(offset, "parked") for offset in range(len(broken))]
