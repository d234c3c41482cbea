"""What single settings take, and how they refuse the rest."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Error, pq
from psycopg.conninfo import conninfo_to_dict

from inbox.settings import Settings
from inbox.settings.database_url import PARAMETERS, database_url
from inbox.settings.problems import UnfitError
from inbox.settings.syntax import is_pointer
from inbox.settings.units import duration, size, start_point
from inbox.store.options import ExternalTableColumns, ExternalTableOptions, OutboxOptions

Load = Callable[..., Settings]
Refuse = Callable[..., str]

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "B": 1}


def sink(line: str, small: str) -> str:
    return small.replace("[database]", f"{line}\n[database]")


@given(st.integers(0, 10**6), st.sampled_from(sorted(SECONDS)), st.sampled_from(["", " "]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str, gap: str) -> None:
    read = duration("0s", "1000000w")

    assert read(f"{number}{gap}{unit}") == timedelta(milliseconds=round(number * SECONDS[unit] * 1000))


@given(st.integers(0, 1000), st.sampled_from(sorted(BYTES)), st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, gap: str) -> None:
    read = size("0", "1000 GiB")

    assert read(f"{number}{gap}{unit}") == number * BYTES[unit]


@given(st.integers(1024, 1024**3))
def test_a_size_may_be_a_plain_number_of_bytes(number: int) -> None:
    read = size("1 KiB", "1 GiB")

    assert read(number) == read(str(number)) == number


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_a_quantity_is_read_or_refused_and_nothing_else(value: object) -> None:
    for read in (duration("1s", "30d"), size("1 KiB", "1 GiB"), start_point):
        with suppress(UnfitError):
            read(value)


@given(st.datetimes(timezones=st.timezones()).filter(lambda time: time.utcoffset() is not None))
def test_an_rfc_3339_time_is_read_back_as_itself(time: datetime) -> None:
    offset = time.utcoffset()
    assert offset is not None
    time = time.replace(tzinfo=timezone(timedelta(minutes=round(offset.total_seconds() / 60))))

    assert start_point(time.isoformat()) == time


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"earliest"', "earliest"),
        ('"fail"', "fail"),
        ('"2026-01-31T06:00:00Z"', datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31T06:00:00Z", datetime(2026, 1, 31, 6, tzinfo=UTC)),
    ],
)
def test_start_is_a_point_or_a_time(load: Load, small: str, written: str, read: object) -> None:
    assert load(sink(f"start = {written}", small)).sink.start == read


@pytest.mark.parametrize(
    "written", ['"2026-01-31T06:00:00"', "2026-01-31T06:00:00", "2026-01-31", '"2026-02-30T06:00:00Z"', '"20260131"']
)
def test_a_start_time_without_its_offset_or_its_day_is_refused(refuse: Refuse, small: str, written: str) -> None:
    assert "sink.start (inbox.toml): expected earliest" in refuse(sink(f"start = {written}", small))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("batch_events = 0", "from 1 to 100000, not 0"),
        ("batch_events = 100001", "from 1 to 100000, not 100001"),
        ("batch_events = true", "not true"),
        ("batch_events = 1.5", "not 1.5"),
        ('batch_bytes = "1023"', "from 1 KiB to 1 GiB"),
        ('batch_bytes = "2 GiB"', "from 1 KiB to 1 GiB"),
        ('batch_bytes = "16 MB/s"', 'not "16 MB/s"'),
        ('start = "latst"', "did you mean latest?"),
        ('url = "x"', "did you mean database.url?"),
        ("retired_routes = 'x'", "expected a list"),
        ("batch_event = 5", "did you mean batch_events?"),
    ],
)
def test_a_wrong_line_of_the_sink_is_refused(refuse: Refuse, small: str, line: str, said: str) -> None:
    assert said in refuse(sink(line, small))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 201, "ö"])
def test_a_sink_name_is_fit_for_a_consumer_group(refuse: Refuse, small: str, name: str) -> None:
    assert "sink.name (inbox.toml): expected 1 to 200 letters" in refuse(small.replace('"inventory"', f'"{name}"', 1))


@pytest.mark.parametrize("name", ["", "9a", "pg_inbox", "information_schema", "a-b", 'a"b', "ö" * 32])
def test_a_schema_is_an_identifier_that_is_not_postgresqls(refuse: Refuse, name: str) -> None:
    assert "database.schema" in refuse(environ={"INBOX_DATABASE__SCHEMA": name})


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[failures]\nattempts = 101", "failures.attempts (inbox.toml): expected a whole number from 1 to 100"),
        ("[failures]\nhalt_above = 0", "failures.halt_above (inbox.toml): expected a whole number of 1 or more"),
        ('[failures]\norder = "keys"', "did you mean key?"),
        ('[failures]\nsame_id_other_payload = "prk"', "did you mean park?"),
        ('[failures]\ncopy_to = "dead letters"', "failures.copy_to (inbox.toml)"),
        ('[failures]\ncopy_format = "record"\n[outbox]\nrelay = "debezium"', "only `inbox relay` sends the bytes"),
        ('[failures]\ncopy_to = "copies"', "copies go through the outbox, and there is none; add [outbox]"),
        ('[failures]\ncopy_to = "order.events"\n[outbox]', 'a route reads "order.events"'),
        ('[retention]\nclaims = "30"', "retention.claims (inbox.toml): expected a whole number with a unit"),
        ("[retention]\nclaims = 30", "not 30"),
        ('[retention]\nclaims = "0s"', 'from "1s"'),
        ("[http]", "http.listen (inbox.toml): missing"),
        ('[http]\nlisten = "8080"', '"host:port"'),
        ('[http]\nlisten = "h:65536"', "at most 65535"),
        ('[outbox]\npayload = "jsonb"', "did you mean json?"),
        ('[outbox]\nrelay = "debezum"', "did you mean debezium?"),
        ("[retenton]", "retenton (inbox.toml): unknown key; did you mean retention?"),
        ("[[outbox]]", "outbox (inbox.toml): expected a table, which [name] begins"),
        ('[outbox]\ntable = "a.b.c"', 'outbox.table (inbox.toml): expected "table" or "schema.table"'),
        ('[outbox]\ntable = "t"\ntopic = "a b"', "outbox.topic (inbox.toml): expected the name of one topic"),
        ('[outbox]\ntable = "t"', "outbox.topic (inbox.toml): missing; name the topic of all events, or under"),
        ('[outbox]\ntable = "t"\ntopic = "x"\n[outbox.columns]\ntopic = "y"', "for that of each event; keep one"),
        ('[outbox]\ntable = "t"\ntopic = "x"\n[outbox.columns]\nstats = "y"', "did you mean status?"),
        ('[outbox]\ntable = "t"\ntopic = "x"\npayload = "json"', "the table has its type already; leave it out"),
        ('[outbox]\ntable = "t"\ntopic = "x"\nrelay = "debezium"', "the connector is for the inbox's own outbox"),
        ('[outbox]\ntopic = "x"', "outbox.topic (inbox.toml): is for a table of yours"),
        ('[outbox.columns]\nstatus = "x"', "[outbox] names no table"),
        ('[failures]\ncopy_to = "c"\n[outbox]\ntable = "t"\ntopic = "x"', "[outbox] table names one of yours"),
        ("[outbox]\ntabel = 't'", "did you mean table?"),
    ],
)
def test_a_wrong_section_is_refused(refuse: Refuse, small: str, section: str, said: str) -> None:
    assert said in refuse(f"{small}\n{section}\n")


@pytest.mark.parametrize(
    ("pointer", "sound"),
    [
        ("/a", True),
        ("/", True),
        ("/a~0b/~1", True),
        ("//", True),
        ("", False),
        ("a", False),
        ("/~", False),
        ("/~2", False),
    ],
)
def test_a_pointer_is_written_as_in_rfc_6901(pointer: str, sound: bool) -> None:
    assert is_pointer(pointer) is sound


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgres://h",
        "postgresql:///inventory?host=/var/run/postgresql",
        "postgresql://u:p%40ss@h1:5432,h2:5433/db?target_session_attrs=read-write&sslmode=verify-full",
        "postgresql://u@[2001:db8::1]:5432/db",
        "postgresql://h/db?ssl=true",
    ],
)
def test_each_form_of_a_connection_uri_is_taken(url: str) -> None:
    assert database_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host=db dbname=inventory",
        "postgresql+psycopg://u@h/d",
        "mysql://h/d",
        "postgresql://h:54x2/d",
        "postgresql://h:65536/d",
        "postgresql://u:pa/ss@h/d",
        "postgresql://u:50%@h/d",
        "postgresql://u:%a0@h/d",
        "postgresql://[::1/d",
        "postgresql://h/d?sslmod=require",
        "postgresql://h/d?sslmode",
        "postgresql://h/a b",
        "postgresql://h/d\n",
        "postgresql://u:hunter2@hunter3@h/d",
        7,
    ],
)
def test_what_is_no_connection_uri_is_refused(url: object) -> None:
    with pytest.raises(UnfitError, match="PostgreSQL URI"):
        database_url(url)


def test_no_part_of_a_password_is_taken_for_a_host() -> None:
    with pytest.raises(UnfitError, match='"@" is %40') as refused:
        database_url("postgresql://u:hunter2@hunter3@h/d")
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize("key", ["pkcs11:hunter2", "%2Fopt%2Fevil%3Akey", "/opt/evil:key"])
def test_a_connection_uri_cannot_make_libpq_load_native_code(key: str) -> None:
    with pytest.raises(UnfitError, match="libpq loads the OpenSSL engine of that name and runs it") as refused:
        database_url(f"postgresql://h/d?sslkey={key}")
    assert "hunter2" not in str(refused.value)


def test_a_connection_uri_names_the_file_of_a_key() -> None:
    assert database_url("postgresql://h/d?sslkey=/etc/inbox/tls.key")


def test_a_connection_uri_cannot_have_the_keys_of_sessions_written_to_a_file() -> None:
    with pytest.raises(UnfitError, match="would write the keys of every TLS session into a file"):
        database_url("postgresql://h/d?sslkeylogfile=/tmp/keys")


@settings(deadline=None)
@given(st.text(alphabet="abu:@/?&=,[]%.2 050hostslmode\\é", max_size=40))
def test_a_connection_uri_that_is_taken_is_one_for_libpq(rest: str) -> None:
    try:
        database_url(f"postgresql://{rest}")
    except UnfitError:
        return
    try:
        conninfo_to_dict(f"postgresql://{rest}")
    except Error as error:
        pytest.fail(f"libpq refuses it: {error}")


def test_the_parameters_of_a_connection_uri_are_those_of_libpq() -> None:
    assert {option.keyword.decode() for option in pq.Conninfo.get_defaults()} <= PARAMETERS


def test_a_table_of_the_users_is_the_outbox_and_nothing_of_it_is_pruned_unasked(load: Load, small: str) -> None:
    mapping = '[outbox]\ntable = "public.events_out"\n[outbox.columns]\nevent_id = "id"\ntopic = "target"\n'

    settings = load(small + mapping)

    columns = ExternalTableColumns(event_id="id", topic="target")
    assert settings.outbox == OutboxOptions(
        existing=ExternalTableOptions(table="public.events_out", topic=None, columns=columns)
    )
    assert settings.retention.outbox is None
    assert load(small + mapping + '[retention]\noutbox = "1d"\n').retention.outbox == timedelta(days=1)
    assert load(small).retention.outbox == timedelta(days=7)


def test_the_columns_are_read_from_the_file_alone(refuse: Refuse) -> None:
    assert "read from the file alone" in refuse(environ={"INBOX_OUTBOX__COLUMNS": "{}"})
