"""What a table lacks for its route, and what of it `inbox table plan` adds, also while the sink runs."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

ROUTE = """
[[routes]]
name = "rows"
topic = "TOPIC"
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["id"]
"""
BY_NAME = "columns_by_name = true\n"
LISTED = '[routes.table.columns]\nid = "/id"\na = "/a"\nfresh = "/deep/fresh"\nat = { from = "/at", as = "epoch-ms" }\n'

Plan = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def plan(sink: Sink, capsys: pytest.CaptureFixture[str]) -> Plan:
    """Runs `inbox table plan --json`, and returns its exit code and the plan of the route."""

    def plan(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = sink.command("table", "plan", "--json", *arguments)
        printed = capsys.readouterr()
        [found] = json.loads(printed.out or printed.err)["plans"]
        return code, found

    return plan


def statements(found: dict[str, Any], part: str) -> list[str]:
    return [each["sql"] for each in found[part]]


def test_new_members_become_columns_while_the_sink_runs(sink: Sink, plan: Plan) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, a varchar(3))")
    sink.configure(ROUTE + BY_NAME)
    sink.send(Out(0, {"id": 1, "a": "abc"}))
    with sink.running():
        eventually(lambda: sink.sql("SELECT count(*) FROM rows") == [(1,)])
        sink.send(Out(1, {"id": 2, "a": "abcdef", "b C": 1.5, "at": 1_700_000_000_123}))
        assert statements(plan()[1], "additive") == [
            'ALTER TABLE public.rows ADD COLUMN "b C" numeric;',
            "ALTER TABLE public.rows ADD COLUMN at bigint;",
            "ALTER TABLE public.rows ALTER COLUMN a TYPE text;",
        ]
        code, done = plan("--execute")
        assert (code, done["executed"]) == (0, True)
        sink.send(Out(2, {"id": 3, "a": "abcdef", "b C": 1.5, "at": 7}))
        eventually(lambda: (3,) in sink.sql("SELECT id FROM rows"))
    done = sink.sql("SELECT plan ->> 'route', plan ->> 'table', result FROM inbox.actions WHERE command = 'table plan'")
    assert done == [("rows", "public.rows", {"statements": 3})]

    assert [tuple(map(str, row)) for row in sink.sql('SELECT a, "b C", at FROM rows WHERE id = 3')] == [
        ("abcdef", "1.5", "7")
    ]
    assert plan("--route", "rows")[1]["additive"] == []


def test_a_member_that_is_read_as_the_events_id_needs_no_column(sink: Sink, plan: Plan) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY)")
    sink.configure(ROUTE.replace("[routes.table]", 'event_id = "value:/uid"\n[routes.table]') + BY_NAME)
    sink.send(Out(0, {"id": 1, "uid": "a", "more": 1}))
    assert statements(plan()[1], "additive") == ["ALTER TABLE public.rows ADD COLUMN more bigint;"]


def test_columns_that_the_route_lists_are_added_with_their_units(sink: Sink, plan: Plan) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, a int)")
    sink.configure(ROUTE + LISTED)
    sink.send(Out(0, {"id": 3_000_000_000, "a": 1, "deep": {"fresh": True}, "at": 1, "other": 1}))

    code, found = plan()

    assert code == 0
    assert statements(found, "additive") == [
        "ALTER TABLE public.rows ADD COLUMN fresh boolean;",
        "ALTER TABLE public.rows ADD COLUMN at timestamptz;",
        "ALTER TABLE public.rows ALTER COLUMN id TYPE bigint;",
    ]
    assert found["unused"] == {"other": 1}
    assert sink.sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'rows'") == [(2,)]


def test_what_is_not_additive_is_left_to_a_person(sink: Sink, plan: Plan) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, a int NOT NULL)")
    sink.configure(ROUTE + BY_NAME)
    sink.send(Out(0, {"id": 1, "a": {"x": 1}}), Out(1, {"id": 2}))

    code, found = plan("--execute")

    assert (code, found["executed"]) == (1, False)
    assert statements(found, "refused") == [
        "ALTER TABLE public.rows ALTER COLUMN a TYPE jsonb USING a::jsonb;",
        "ALTER TABLE public.rows ALTER COLUMN a DROP NOT NULL;",
    ]


def test_a_table_of_somebody_else_is_not_altered(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    role = f"other_{sink.name}".lower()
    sink.sql(f"CREATE TABLE rows (id int PRIMARY KEY); CREATE ROLE {role}")
    sink.send(Out(0, {"id": 1, "a": 1}))
    sink.configure(ROUTE + BY_NAME, database_url=f"{sink.database_url}?options=-crole%3D{role}")
    try:
        assert sink.command("table", "plan", "--execute") == 3
    finally:
        sink.sql(f"DROP ROLE {role}")

    assert "this role may not alter it" in capsys.readouterr().err


def test_an_unknown_route_is_named_with_the_nearest(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    sink.configure(ROUTE + BY_NAME)

    assert sink.command("table", "plan", "--route", "row") == 3
    assert 'did you mean "rows"?' in capsys.readouterr().err
