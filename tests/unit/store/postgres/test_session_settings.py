"""What a session is pinned to, decided from what the server says of it."""

import pytest

from inbox.store.postgres.session_settings import (
    ASKED,
    OWN_PATH,
    Limits,
    NewSession,
    begin,
    local,
    local_path,
    pins,
    session_of,
    statement_limit,
)

VALUES = {
    "search_path": '"$user", public',
    "synchronous_commit": "on",
    "row_security": "on",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
}


def session(*, pooled: bool = False, read_only: bool = False, **values: str) -> NewSession:
    return NewSession(pooled, {**VALUES, **values}, read_only)


@pytest.mark.parametrize(
    ("source", "is_the_servers"),
    [("configuration file", True), ("command line", True), ("user", False), ("database", False), ("session", False)],
)
def test_only_the_servers_own_configuration_makes_it_read_only(source: str, is_the_servers: bool) -> None:
    assert session_of([("default_transaction_read_only", "on", source)], pooled=False).server_is_read_only is (
        is_the_servers
    )


def test_a_default_of_the_role_is_overruled_and_one_of_the_server_is_not() -> None:
    name = "default_transaction_read_only"
    assert pins(session(default_transaction_read_only="on"), Limits(), {})[name] == "off"
    assert name not in pins(session(default_transaction_read_only="on", read_only=True), Limits(), {})
    assert name not in pins(session(), Limits(), {}), "so that a later change of the server's is seen"


def test_a_server_without_a_setting_is_not_asked_for_it() -> None:
    old = NewSession(False, {name: value for name, value in VALUES.items() if name != "idle_session_timeout"}, False)
    assert set(pins(old, Limits(), {"transaction_timeout": "0"})) & set(ASKED) == {
        "search_path",
        "statement_timeout",
        "lock_timeout",
        "transaction_timeout",
    }


def test_a_shared_session_is_pinned_to_what_the_user_set_too() -> None:
    assert pins(session(pooled=True, synchronous_commit="local"), Limits(), {})["synchronous_commit"] == "local"
    assert "synchronous_commit" not in pins(session(), Limits(), {})


@pytest.mark.parametrize("pooled", [True, False])
def test_names_are_looked_up_in_postgresqls_own_schema(pooled: bool) -> None:
    assert pins(session(pooled=pooled, search_path="app, public"), Limits(), {})["search_path"] == OWN_PATH


def test_the_users_path_is_his_own_text() -> None:
    assert local_path('"$user", public') == 'SET LOCAL search_path = "$user", public'
    assert local_path("") == "SET LOCAL search_path = ''"


def test_what_a_transaction_cannot_change_is_not_in_its_pins() -> None:
    statements = local(pins(session(pooled=True), Limits(), {}))
    assert "SET LOCAL TimeZone = 'UTC'" in statements
    assert f"SET LOCAL search_path = {OWN_PATH}" in statements
    assert "default_transaction" not in statements
    assert "idle_session_timeout" not in statements


@pytest.mark.parametrize(
    ("read_only", "server", "ends"), [(False, False, "READ WRITE"), (True, False, "READ ONLY"), (False, True, "RABLE")]
)
def test_begin_states_its_modes(read_only: bool, server: bool, ends: str) -> None:
    statement = begin(read_only=read_only, server_is_read_only=server)
    assert statement.startswith("BEGIN ISOLATION LEVEL READ COMMITTED")
    assert statement.endswith(ends)


@pytest.mark.parametrize(
    ("value", "source", "configured", "said"),
    [
        ("1", "user", None, "statement_timeout is 0.001 s, by ALTER ROLE"),
        ("1", "database", None, "statement_timeout is 0.001 s, by ALTER DATABASE"),
        ("1", "database user", None, "statement_timeout is 0.001 s, by ALTER ROLE ... IN DATABASE"),
        ("90000", "client", None, "statement_timeout is 90 s, by [database] url"),
        ("5000", "configuration file", None, "statement_timeout is 5 s, by configuration file"),
        ("5000", "user", 7.0, "statement_timeout is 7 s, by [database] statement_timeout"),
        ("0", "default", None, "statement_timeout is 120 s, the sink's own limit"),
    ],
)
def test_a_limit_is_named_with_who_set_it(value: str, source: str, configured: float | None, said: str) -> None:
    rows = [(name, value if name == "statement_timeout" else text, source) for name, text in VALUES.items()]
    assert statement_limit(session_of(rows, pooled=False), Limits(statement_seconds=configured)) == said
