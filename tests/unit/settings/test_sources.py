"""Where values come from, and which of them wins."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.errors import StartupError
from inbox.settings import Settings, load_database_settings, load_relay_settings, load_settings

Load = Callable[..., Settings]
Refuse = Callable[..., str]


def test_defaults_fill_what_the_file_leaves_out(load: Load) -> None:
    settings = load()

    assert settings.sink.batch_events == 5000
    assert settings.sink.batch_bytes == 16 * 1024 * 1024
    assert settings.database.schema == "inbox"
    assert settings.retention.claims.days == 30
    assert settings.http_listen is None
    assert settings.outbox is None


def test_each_source_wins_over_the_one_before(load: Load, small: str, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("kafka__client_id", "kafka__client_rack", "kafka__debug"):
        (secrets / name).write_text("secret file\n")
    text = small.replace("[[routes]]", '"client.id" = "file"\n"sasl.username" = "file"\n[[routes]]')

    settings = load(
        text,
        environ={
            "INBOX_SECRETS_DIR": "secrets",
            "INBOX_KAFKA__CLIENT_RACK": "variable",
            "INBOX_KAFKA__DEBUG": "variable",
        },
        flags={"debug": "flag"},
    )

    properties = settings.kafka.properties
    assert properties["sasl.username"] == "file"
    assert properties["client.id"] == "secret file"
    assert properties["client.rack"] == "variable"
    assert properties["debug"] == "flag"


def test_a_named_file_is_read_from_the_working_directory(small: str, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "sink.toml").write_text(small)

    by_flag = load_settings(config=Path("conf/sink.toml"), flags={}, environ={}, cwd=tmp_path)
    by_variable = load_settings(config=None, flags={}, environ={"INBOX_CONFIG": "conf/sink.toml"}, cwd=tmp_path)

    assert by_flag == by_variable


def test_the_flag_config_wins_over_the_variable(small: str, tmp_path: Path) -> None:
    (tmp_path / "sink.toml").write_text(small)

    settings = load_settings(
        config=Path("sink.toml"), flags={}, environ={"INBOX_CONFIG": "not-there.toml"}, cwd=tmp_path
    )

    assert settings.sink.name == "inventory"


@pytest.mark.parametrize(
    ("config", "environ", "subject"),
    [
        (Path("absent.toml"), {}, "absent.toml (flag --config)"),
        (None, {"INBOX_CONFIG": "absent.toml"}, "absent.toml (environment variable INBOX_CONFIG)"),
    ],
)
def test_a_named_file_that_is_absent_is_an_error(
    config: Path | None, environ: dict[str, str], subject: str, tmp_path: Path
) -> None:
    with pytest.raises(StartupError) as refused:
        load_settings(config=config, flags={}, environ=environ, cwd=tmp_path)

    assert str(refused.value) == f"{subject}: there is no such file"


def test_without_any_source_the_error_shows_how_to_begin(refuse: Refuse) -> None:
    said = refuse(None)

    assert "there is no inbox.toml in " in said
    assert "--config or INBOX_CONFIG" in said


def test_the_beginning_that_the_error_shows_is_a_sound_file(load: Load, refuse: Refuse) -> None:
    example = refuse(None).partition("A small one:\n")[2]

    assert load(example).sink.name == "inventory"


def test_without_a_file_the_error_says_where_each_missing_value_could_go(refuse: Refuse) -> None:
    said = refuse(None, environ={"INBOX_SINK__NAME": "inventory"})

    assert "database.url: missing" in said
    assert "environment variable INBOX_DATABASE__URL" in said
    assert "secret file database__url" in said
    assert "routes: missing" in said


def test_a_file_that_is_not_toml_is_refused_with_the_place(refuse: Refuse) -> None:
    assert "inbox.toml: is not TOML: " in (said := refuse('[sink]\nname = "inventory\n'))
    assert "line 2" in said


def test_a_directory_in_place_of_the_file_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "inbox.toml").mkdir()

    assert "inbox.toml: cannot be read: " in refuse(None)


def test_a_property_may_stand_unquoted(load: Load, small: str) -> None:
    text = small.replace('"bootstrap.servers"', "ssl.key.location = '/k'\nbootstrap.servers")

    assert load(text).kafka.properties == {"bootstrap.servers": "kafka:9092", "ssl.key.location": "/k"}


def test_a_property_quoted_and_unquoted_at_once_is_refused(refuse: Refuse, small: str) -> None:
    said = refuse(small.replace('"bootstrap.servers"', 'bootstrap.servers = "a"\n"bootstrap.servers"'))

    assert said == 'kafka."bootstrap.servers" (inbox.toml): is there twice; keep one'


@pytest.mark.parametrize(
    ("variable", "property_name"),
    [
        ("INBOX_KAFKA__BOOTSTRAP_SERVERS", "bootstrap.servers"),
        ("INBOX_KAFKA__LOG_LEVEL", "log_level"),
        ("INBOX_KAFKA__SSL_KEY_PEM", "ssl.key.pem"),
    ],
)
def test_an_underscore_of_a_variable_is_what_librdkafka_has_there(
    load: Load, variable: str, property_name: str
) -> None:
    assert load(environ={variable: "7"}).kafka.properties[property_name] == "7"


def test_a_property_replaces_one_that_means_the_same(load: Load, small: str) -> None:
    text = small.replace("[[routes]]", '"sasl.mechanisms" = "PLAIN"\n[[routes]]')

    properties = load(text, environ={"INBOX_KAFKA__SASL_MECHANISM": "SCRAM-SHA-256"}).kafka.properties

    assert properties == {"bootstrap.servers": "kafka:9092", "sasl.mechanism": "SCRAM-SHA-256"}


def test_scalars_are_read_from_variables(load: Load) -> None:
    settings = load(
        environ={
            "INBOX_SINK__BATCH_EVENTS": "7",
            "INBOX_SINK__BATCH_BYTES": "2 MiB",
            "INBOX_DATABASE__SCHEMA": "other",
            "INBOX_DATABASE__START_TIMEOUT": "5s",
            "INBOX_DATABASE__STATEMENT_TIMEOUT": "7s",
            "INBOX_FAILURES__ORDER": "halt",
            "INBOX_RETENTION__CLAIMS": "12h",
            "INBOX_HTTP__LISTEN": "[::]:8080",
            "INBOX_OUTBOX__PAYLOAD": "bytea",
        }
    )

    assert (settings.sink.batch_events, settings.sink.batch_bytes) == (7, 2 * 1024 * 1024)
    assert (settings.database.schema, settings.database.start_timeout_seconds) == ("other", 5.0)
    assert settings.database.statement_timeout_seconds == 7.0
    assert settings.failures.order == "halt"
    assert settings.retention.claims.total_seconds() == 12 * 3600
    assert settings.http_listen == ("::", 8080)
    assert settings.outbox is not None
    assert (settings.outbox.payload, settings.outbox.relay) == ("bytea", "inbox")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("INBOX_DATABASE_URL", "INBOX_DATABASE__URL"),
        ("INBOX_SINK__STRAT", "INBOX_SINK__START"),
        ("INBOX_KAFKA__SASL_PASWORD", "INBOX_KAFKA__SASL_PASSWORD"),
        ("INBOX_CONFG", "INBOX_CONFIG"),
        ("INBOX_database__url", "INBOX_DATABASE__URL"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(refuse: Refuse, name: str, nearest: str) -> None:
    assert refuse(environ={name: "x"}) == f"environment variable {name}: unknown; did you mean {nearest}?"


@pytest.mark.parametrize("name", ["INBOX_ROUTES__0__TOPIC", "INBOX_ROUTES", "INBOX_SINK__RETIRED_ROUTES"])
def test_what_is_a_list_is_not_read_from_a_variable(refuse: Refuse, name: str) -> None:
    assert "read from the file alone" in refuse(environ={name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INBOX_TEST_KAFKA", "localhost:9092"),
        ("INBOX_PORT", "tcp://10.0.0.7:8080"),
        ("INBOX_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("INBOX_PORT_8080_TCP_PROTO", "tcp"),
        ("INBOX_SERVICE_HOST", "10.0.0.7"),
        ("INBOX_METRICS_SERVICE_PORT_HTTP", "8080"),
        ("OTHER", "x"),
    ],
)
def test_variables_of_the_test_suite_and_of_kubernetes_are_left_alone(load: Load, name: str, value: str) -> None:
    assert load(environ={name: value}) == load()


def test_a_variable_that_only_sounds_like_kubernetes_is_refused(refuse: Refuse) -> None:
    assert "environment variable INBOX_PORT: unknown" in refuse(environ={"INBOX_PORT": "http"})


def test_an_empty_variable_for_the_file_names_no_file(load: Load) -> None:
    assert load(environ={"INBOX_CONFIG": "", "INBOX_SECRETS_DIR": ""}) == load()


def test_a_mounted_secret_of_kubernetes_is_read(load: Load, tmp_path: Path) -> None:
    mounted = tmp_path / "secrets"
    version = mounted / "..2026_01_31"
    version.mkdir(parents=True)
    (version / "database__url").write_text("postgresql://other@db/inventory\n")
    (mounted / "..data").symlink_to("..2026_01_31")
    (mounted / "database__url").symlink_to("..data/database__url")
    (mounted / ".hidden").write_text("x")

    settings = load(environ={"INBOX_SECRETS_DIR": str(mounted)})

    assert settings.database.url.get_secret_value() == "postgresql://other@db/inventory"


def test_a_secret_file_may_spell_a_property_with_its_dots(load: Load, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "kafka__sasl.password").write_text("pass")

    assert load(environ={"INBOX_SECRETS_DIR": "secrets"}).kafka.properties["sasl.password"] == "pass"


def test_only_one_line_end_is_taken_off_a_secret(load: Load, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "kafka__sasl_password").write_bytes(b"pass \n\r\n")

    assert load(environ={"INBOX_SECRETS_DIR": "secrets"}).kafka.properties["sasl.password"] == "pass \n"


def test_an_unknown_secret_file_is_refused_with_the_nearest(refuse: Refuse, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "database_url").write_text("postgresql://u:hunter2@db/d")

    said = refuse(environ={"INBOX_SECRETS_DIR": "secrets"})

    assert said == "secret file database_url: unknown; did you mean database__url?"


def test_a_secret_file_that_would_hold_the_sink_up_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    os.mkfifo(secrets / "database__url")
    (secrets / "kafka__sasl_password").symlink_to("/dev/zero")

    said = refuse(environ={"INBOX_SECRETS_DIR": "secrets"})

    assert "secret file database__url: is not a regular file" in said
    assert "secret file kafka__sasl_password: is not a regular file" in said


def test_a_secrets_directory_that_is_absent_is_an_error(refuse: Refuse) -> None:
    assert "(environment variable INBOX_SECRETS_DIR): cannot be read" in refuse(environ={"INBOX_SECRETS_DIR": "absent"})


def test_a_wrong_value_is_reported_with_its_source(refuse: Refuse, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "database__schema").write_text("9")

    said = refuse(environ={"INBOX_SECRETS_DIR": "secrets", "INBOX_SINK__START": "soon"}, flags={"isolation.level": "x"})

    assert "sink.start (environment variable INBOX_SINK__START): expected" in said
    assert "database.schema (secret file database__schema): expected" in said
    assert 'kafka."isolation.level" (flag -X): must stay' in said


def test_commands_on_the_database_need_the_database_alone(tmp_path: Path) -> None:
    environ = {"INBOX_DATABASE__URL": "postgresql:///inventory"}

    settings = load_database_settings(config=None, flags={}, environ=environ, cwd=tmp_path)

    assert settings.database.schema == "inbox"
    assert settings.outbox is None


def test_commands_on_the_database_still_refuse_what_is_wrong_elsewhere(small: str, tmp_path: Path) -> None:
    (tmp_path / "inbox.toml").write_text(small.replace("topic =", "topik ="))

    with pytest.raises(StartupError, match=r"routes\[0\]\.topik"):
        load_database_settings(config=None, flags={}, environ={}, cwd=tmp_path)


def test_the_relay_needs_the_outbox_and_no_route(tmp_path: Path) -> None:
    environ = {"INBOX_DATABASE__URL": "postgresql:///inventory", "INBOX_KAFKA__BOOTSTRAP_SERVERS": "k:9092"}

    with pytest.raises(StartupError, match="outbox: missing"):
        load_relay_settings(config=None, flags={}, environ=environ, cwd=tmp_path)
    (tmp_path / "inbox.toml").write_text("[outbox]\n")
    settings = load_relay_settings(config=None, flags={}, environ=environ, cwd=tmp_path)

    assert (settings.outbox.payload, settings.outbox.relay) == ("json", "inbox")
    assert settings.kafka.properties == {"bootstrap.servers": "k:9092"}
