"""What somebody with the sink's login cannot do in the schema, and what he still can: as SECURITY.md says it."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from inbox.dev.backends import Servers
from inbox.errors import StartupError
from inbox.operations.dead_letters.redact import redact
from inbox.store.inbox.dead_letter_queries import Selection
from inbox.store.inbox.generations import Generations
from inbox.store.inbox.retention import KeptPeriods, Retention
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect
from inbox.store.privileges.check import missing_rights
from inbox.store.privileges.roles import roles_sql
from inbox.store.schema.migrate import migrate
from tests.integration.security.test_roles import Roles, made_roles
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import unique_name

KEPT = KeptPeriods(claims=timedelta(days=30), progress=timedelta(days=90), dead_letters=timedelta(days=90))
AGES_AGO = timedelta(days=400)

# A partition that settled 50 offsets, one claim, an open dead letter and one that was resolved long ago.
SEED = """
INSERT INTO {s}.sink (name, group_id, cluster_id) VALUES ('shop', 'shop', 'cluster');
INSERT INTO {s}.routes (name, topics, identity) VALUES ('table', '{{orders}}', 'auto');
INSERT INTO {s}.partitions (
    cluster_id, topic, partition, start_offset, next_offset, reached_offset, applied, owner, owner_epoch
) VALUES ('cluster', 'orders', 0, 0, 50, 50, 48, 'host:1:token', 7);
INSERT INTO {s}.route_starts VALUES (1, 1, 0);
INSERT INTO {s}.progress (partition_id, from_offset, until_offset, applied, dead_lettered) VALUES (1, 0, 50, 48, 2);
INSERT INTO {s}.processed (event_id, kafka_offset, payload_hash, processed_at, partition_id, route_id)
VALUES ('00000000-0000-0000-0000-000000000001', 1, 0, now() - interval '1 day', 1, 1);
INSERT INTO {s}.dead_letters (route_id, partition_id, kafka_offset, value, error_class, error, state, resolved_at)
VALUES (1, 1, 8, 'open', 'ValueError', 'no', 'parked', NULL),
    (1, 1, 9, 'closed', 'ValueError', 'no', 'discarded', now() - interval '400 days');
INSERT INTO {s}.replays (mode, requested_by, created_at) VALUES ('skip-applied', 'ann', now() - interval '1 hour');
INSERT INTO {s}.replay_ranges (replay_id, partition_id, from_offset, until_offset, next_offset, ledger_offset, state)
VALUES (1, 1, 10, 20, 20, 50, 'settled');
"""


@pytest.fixture(scope="module")
def seeded(servers: Servers) -> Iterator[Roles]:
    """A schema with rows, for tests that change nothing for good."""
    name = unique_name("login")
    with made_roles(create_database(servers.database_url, name)) as made:
        prepare(made)
        yield made
    drop_database(servers.database_url, name)


@pytest.fixture
def own(empty_database_url: str) -> Iterator[Roles]:
    """As `seeded`, for one test alone."""
    with made_roles(empty_database_url) as made:
        prepare(made)
        yield made


def prepare(made: Roles) -> None:
    migrate(DatabaseOptions(url=SecretStr(made.url(made.migrates)), schema=made.schema))
    made.sql(roles_sql(made.schema, None, kept=KEPT))
    made.sql(SEED.format(s=f'"{made.schema}"'))


def attack(roles: Roles, script: str) -> None:
    """Run it as the sink's login up to where it would commit."""
    with psycopg.connect(roles.url(roles.runs)) as connection:
        connection.execute(script.replace("inbox.", f'"{roles.schema}".').encode())
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.rollback()


IMPOSSIBLE = {
    "delete a dead letter": "DELETE FROM inbox.dead_letters",
    "empty the dead letters": "TRUNCATE inbox.dead_letters",
    "rewrite a payload": "UPDATE inbox.dead_letters SET value = 'other'",
    "rewrite the headers of a dead letter": "UPDATE inbox.dead_letters SET headers = '[]'",
    "give a dead letter another event id": "UPDATE inbox.dead_letters SET event_id = gen_random_uuid()",
    "give a dead letter another payload": "UPDATE inbox.dead_letters SET payload_hash = 1",
    "give a dead letter another place": "UPDATE inbox.dead_letters SET kafka_offset = 9",
    "delete claims": "DELETE FROM inbox.processed",
    "delete claims of one generation": "DELETE FROM inbox.processed_1",
    "empty claims": "TRUNCATE inbox.processed",
    "empty claims of one generation": "TRUNCATE inbox.processed_1",
    "empty the youngest generation": "SELECT inbox.drop_generation(0, 1)",
    "give a claim another id": "UPDATE inbox.processed SET event_id = gen_random_uuid()",
    "give a claim another payload": "UPDATE inbox.processed SET payload_hash = 1",
    "say that a generation is old": "UPDATE inbox.generations SET closed_at = now() - interval '1 year'",
    "delete a generation": "DELETE FROM inbox.generations",
    "claim in another generation": "UPDATE inbox.sink SET generation = 5",
    "delete the history": "DELETE FROM inbox.progress",
    "say when a row of history began": "UPDATE inbox.progress SET from_time = now() - interval '1 year'",
    "move a row of history": "UPDATE inbox.progress SET from_offset = 5",
    "delete a partition of the ledger": "DELETE FROM inbox.partitions",
    "move the ledger back": "UPDATE inbox.partitions SET next_offset = 3",
    "move it back by an earlier replay": "UPDATE inbox.partitions SET next_offset = 10",
    "lower what was reached": "UPDATE inbox.partitions SET reached_offset = 3",
    "lower the fencing token": "UPDATE inbox.partitions SET owner_epoch = 1",
    "say that the ledger began elsewhere": "UPDATE inbox.partitions SET start_offset = 40",
    "raise the horizon": "UPDATE inbox.partitions SET horizon_offset = 40",
    "bind a partition to another cluster": "UPDATE inbox.partitions SET cluster_id = 'other'",
    "set a partition aside": "UPDATE inbox.partitions SET topic = topic || '#' || partition_id",
    "delete a replay": "DELETE FROM inbox.replays",
    "say that another asked for a replay": "UPDATE inbox.replays SET requested_by = 'bob'",
    "say when a replay was asked for": (
        "INSERT INTO inbox.replays (mode, requested_by, created_at) VALUES ('force', 'ann', now() - interval '1 day')"
    ),
    "rewrite a range of a replay": "UPDATE inbox.replay_ranges SET from_offset = 0",
    "delete a range of a replay": "DELETE FROM inbox.replay_ranges",
    "delete the record of a resume": "DELETE FROM inbox.resumptions",
    "rewrite the record of a resume": "UPDATE inbox.resumptions SET requested_by = 'bob'",
    "delete what was counted": "DELETE FROM inbox.unknown_members",
    "say when a member was first seen": "UPDATE inbox.unknown_members SET first_seen_at = now()",
    "delete what people did": "DELETE FROM inbox.actions",
    "say that another did it": "UPDATE inbox.actions SET requested_by = 'bob'",
    "say that it was another command": "UPDATE inbox.actions SET command = 'prune', plan = '{}'",
    "say when it was done": (
        "INSERT INTO inbox.actions (requested_by, command, plan, created_at) VALUES ('ann', 'prune', '{}', now())"
    ),
    "say that another login did it": (
        "INSERT INTO inbox.actions (requested_by, command, plan, database_user) VALUES ('ann', 'prune', '{}', 'dba')"
    ),
    "delete a hold": "DELETE FROM inbox.holds",
    "say that another held it": "UPDATE inbox.holds SET requested_by = 'bob', reason = 'other'",
    "hold for longer than was said": "UPDATE inbox.holds SET held_until = NULL",
    "rename a route": "UPDATE inbox.routes SET name = 'other'",
    "change the rule of ids": "UPDATE inbox.routes SET identity = 'key'",
    "take the schema for another sink": "UPDATE inbox.sink SET name = 'other'",
    "shorten what the owner keeps": "UPDATE inbox.retention SET claims = '0'",
    "delete what the owner keeps": "DELETE FROM inbox.retention",
    "take a guard away": "DROP TRIGGER partitions_guard ON inbox.partitions",
    "disable a guard": "ALTER TABLE inbox.partitions DISABLE TRIGGER ALL",
    "disable all triggers": "SET session_replication_role = replica",
    "replace a function of the owner's": (
        "CREATE OR REPLACE FUNCTION inbox.forget_letters(older_than interval, at_most integer) RETURNS integer"
        " LANGUAGE sql AS 'SELECT 1'"
    ),
    "become the owner": "SET ROLE inbox_owner",
}


@pytest.mark.parametrize("script", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_the_sinks_login_cannot(seeded: Roles, script: str) -> None:
    if script.startswith("SET ROLE"):
        script = f'SET ROLE "{seeded.schema}_owner"'
    with pytest.raises(errors.InsufficientPrivilege):
        attack(seeded, script)


POSSIBLE = {
    "move the ledger forward, past events that were never applied": (
        "UPDATE inbox.partitions SET next_offset = 99, reached_offset = 99, applied = applied + 49"
    ),
    "write a history that fits": (
        "INSERT INTO inbox.progress (partition_id, from_offset, until_offset, applied) VALUES (1, 50, 99, 49)"
    ),
    "change what a row of history counts": "UPDATE inbox.progress SET until_offset = 40, applied = 38",
    "say when a row of history ended": "UPDATE inbox.progress SET until_time = now() - interval '1 year'",
    "change what a replay counts, or end it": "UPDATE inbox.replay_ranges SET state = 'cancelled', applied = 7",
    "change what the ledger counts": "UPDATE inbox.partitions SET applied = 3",
    "claim an event that was not applied": (
        "INSERT INTO inbox.processed (event_id, kafka_offset, payload_hash, partition_id, route_id)"
        " VALUES (gen_random_uuid(), 60, 0, 1, 1)"
    ),
    "give a claim another place in the log": "UPDATE inbox.processed SET kafka_offset = 3",
    "hide claims of older generations from the sink": "DELETE FROM inbox.generation_filters",
    "replay, with a record": (
        "INSERT INTO inbox.replays (mode, requested_by) VALUES ('force', 'somebody');"
        "INSERT INTO inbox.replay_ranges (replay_id, partition_id, from_offset, until_offset, next_offset,"
        " ledger_offset) SELECT max(replay_id), 1, 5, 50, 5, 50 FROM inbox.replays;"
        "UPDATE inbox.partitions SET next_offset = 5, owner_epoch = owner_epoch + 1"
    ),
    "resume, with a record": (
        "UPDATE inbox.partitions SET next_offset = 5, owner_epoch = owner_epoch + 1;"
        "INSERT INTO inbox.resumptions (partition_id, from_cluster_id, to_cluster_id, from_offset, to_offset,"
        " consequence, requested_by) VALUES (1, 'cluster', 'cluster', 50, 5, 'repeats 45', 'somebody')"
    ),
    "set a partition aside for another log, with a record": (
        "UPDATE inbox.partitions SET topic = topic || '#' || partition_id, owner_epoch = owner_epoch + 1;"
        "INSERT INTO inbox.partitions (cluster_id, topic, partition, start_offset, next_offset, reached_offset)"
        " VALUES ('cluster', 'orders', 0, 0, 0, 0);"
        "INSERT INTO inbox.resumptions (partition_id, from_cluster_id, to_cluster_id, from_offset, to_offset,"
        " consequence, requested_by) SELECT max(partition_id), 'cluster', 'cluster', 50, 0, 'new log', 'somebody'"
        " FROM inbox.partitions;"
        "SELECT inbox.forget_claims(ARRAY[gen_random_uuid()], 1)"
    ),
    "resolve a dead letter that was never applied": "UPDATE inbox.dead_letters SET state = 'retried'",
    "park an event that never was": (
        "INSERT INTO inbox.dead_letters (route_id, partition_id, kafka_offset, error_class, error, state)"
        " VALUES (1, 1, 70, 'E', 'no', 'parked')"
    ),
    "say that an error was another one": "UPDATE inbox.dead_letters SET error = 'another'",
    "note an action under another name, or another result of one": (
        "INSERT INTO inbox.actions (requested_by, command, plan) VALUES ('somebody', 'prune', '{}');"
        "UPDATE inbox.actions SET result = '{}', ended_at = now()"
    ),
    "hold a topic, and release it": (
        "INSERT INTO inbox.holds (topic, reason, requested_by) VALUES ('orders', 'why', 'somebody');"
        "UPDATE inbox.holds SET released_at = now(), released_by = 'somebody'"
    ),
    "say that a budget of events is spent": (
        "INSERT INTO inbox.pace (budget, free_at) VALUES ('sink', now() + interval '1 day')"
    ),
    "owe less to a route": "UPDATE inbox.route_starts SET from_offset = 50",
    "retire a route": "UPDATE inbox.routes SET retired_at = now()",
    "stop every worker": "UPDATE inbox.partitions SET owner_epoch = owner_epoch + 1000",
    "stop every start": "UPDATE inbox.sink SET cluster_id = 'other'",
    "forget that an event ended its process": "DELETE FROM inbox.handling",
    "have the owner remove what is past the retention": "SELECT inbox.forget_letters('0', 100)",
}


@pytest.mark.parametrize("script", POSSIBLE.values(), ids=POSSIBLE)
def test_it_still_can(seeded: Roles, script: str) -> None:
    attack(seeded, script)


def test_it_has_every_right_that_a_start_asks_for(seeded: Roles) -> None:
    with connect(DatabaseOptions(url=SecretStr(seeded.url(seeded.runs)))) as connection:
        assert missing_rights(connection, seeded.schema, []) == []


def test_who_may_not_redact_is_refused_at_once_and_reads_whose_login_it_takes(seeded: Roles) -> None:
    options = DatabaseOptions(url=SecretStr(seeded.url(seeded.runs)), schema=seeded.schema)
    assert redact(options, Selection(ids=(1,)), execute=False, by="ann").open == 1
    with pytest.raises(StartupError, match="a login in the role of the schema's owner"):
        redact(options, Selection(ids=(1,)), execute=True, by="ann")


def test_it_removes_no_dead_letter_that_the_owner_keeps_whatever_it_says_of_its_age(own: Roles) -> None:
    with connect(DatabaseOptions(url=SecretStr(own.url(own.runs)))) as connection:
        retention = Retention(connection, own.schema)
        table = f'"{own.schema}".dead_letters'
        connection.execute(
            f"UPDATE {table} SET state = 'discarded', resolved_at = now() - %s WHERE state = 'parked'",  # noqa: S608
            (AGES_AGO,),
        )
        assert retention.forget_letters(timedelta(0)) == 1  # the one that was resolved before
        left = connection.execute(f"SELECT kafka_offset, resolved_at > now() - interval '1 day' FROM {table}")  # noqa: S608
        assert left.fetchall() == [(8, True)]


def test_it_removes_no_history_that_the_owner_keeps_whatever_it_says_of_its_age(own: Roles) -> None:
    with connect(DatabaseOptions(url=SecretStr(own.url(own.runs)))) as connection:
        connection.execute(f'UPDATE "{own.schema}".progress SET until_time = now() - %s', (AGES_AGO,))  # noqa: S608
        assert Retention(connection, own.schema).forget_progress(timedelta(0)) == 0


def test_it_empties_no_claims_that_the_owner_keeps(own: Roles) -> None:
    with connect(DatabaseOptions(url=SecretStr(own.url(own.runs)))) as connection:
        generations = Generations(connection, own.schema)
        for number in range(15):
            generations.switch(number)
        with pytest.raises(Exception, match="no table of claims is free"):
            generations.switch(15)
        assert generations.raise_horizon(0)
        with pytest.raises(Exception, match="the claims of generation 0 are kept"):
            generations.drop(0)
        own.sql(f"UPDATE \"{own.schema}\".generations SET closed_at = now() - interval '31 days' WHERE generation = 0")  # noqa: S608
        with pytest.raises(Exception, match="the claims of generation 0 are kept"):
            generations.drop(0)  # the horizon is still below
        assert generations.raise_horizon(0)
        generations.drop(0)
        assert generations.size(0) == 0


def test_it_withdraws_no_claim_of_another_transaction(own: Roles) -> None:
    claimed = "ARRAY['00000000-0000-0000-0000-000000000001'::uuid], 1::smallint"
    with connect(DatabaseOptions(url=SecretStr(own.url(own.runs)))) as connection:
        for function in ("withdraw_claims", "leave_older"):
            removed = connection.execute(f'SELECT "{own.schema}".{function}({claimed})'.encode())
            assert removed.fetchone() == (0,)
        forgotten = connection.execute(
            f"SELECT \"{own.schema}\".forget_claims(ARRAY['00000000-0000-0000-0000-000000000001'::uuid], 1)".encode()
        )
        assert forgotten.fetchone() == (0,)


def test_it_replaces_no_claim_by_one_of_another_payload(own: Roles) -> None:
    forged = "('00000000-0000-0000-0000-000000000001', 1, 7, 1, 1)"
    with connect(DatabaseOptions(url=SecretStr(own.url(own.runs)))) as connection:
        Generations(connection, own.schema).switch(0)
        connection.execute(
            f'INSERT INTO "{own.schema}".processed_1 (event_id, kafka_offset, payload_hash, partition_id, route_id) '  # noqa: S608
            f"VALUES {forged}".encode()
        )
        claim = "ARRAY['00000000-0000-0000-0000-000000000001'::uuid], 1::smallint"
        removed = connection.execute(f'SELECT "{own.schema}".leave_older({claim})'.encode())
        assert removed.fetchone() == (0,)


def test_what_an_earlier_version_granted_is_revoked(own: Roles) -> None:
    before = f'GRANT ALL ON ALL TABLES IN SCHEMA "{own.schema}" TO "{own.schema}_sink"'
    own.sql(before)
    attack(own, "DELETE FROM inbox.dead_letters")
    own.sql(roles_sql(own.schema, None, kept=KEPT))
    with pytest.raises(errors.InsufficientPrivilege):
        attack(own, "DELETE FROM inbox.dead_letters")
    with connect(DatabaseOptions(url=SecretStr(own.url(own.runs)))) as connection:
        assert missing_rights(connection, own.schema, []) == []


def test_a_sink_that_could_delete_claims_before_the_upgrade_still_prunes_after_it(empty_database_url: str) -> None:
    with made_roles(empty_database_url) as made:
        options = DatabaseOptions(url=SecretStr(made.url(made.migrates)), schema=made.schema)
        migrate(options, to="0006")
        made.sql(f'GRANT ALL ON ALL TABLES IN SCHEMA "{made.schema}" TO "{made.schema}_sink"')
        migrate(options)
        with connect(DatabaseOptions(url=SecretStr(made.url(made.runs)))) as connection:
            assert missing_rights(connection, made.schema, []) == []
            assert Retention(connection, made.schema).forget_letters(timedelta(0)) == 0
