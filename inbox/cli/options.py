"""The options that several commands share, and the configuration to which they lead."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from inbox.cli.output import notice
from inbox.cli.redaction import of_command
from inbox.kafka.options import KafkaOptions
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.secret_names import LOGIN_IN_URL, NAMED_SECRET, is_secret
from inbox.process.exit_codes import FAILURE
from inbox.settings import (
    DatabaseSettings,
    RelaySettings,
    ServerSettings,
    Settings,
    load_any_settings,
    load_database_settings,
    load_relay_settings,
    load_server_settings,
    load_settings,
)
from inbox.settings.librdkafka import spelt_in_variables
from inbox.store.options import DatabaseOptions

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """Add `--config FILE` to a command."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration; default: $INBOX_CONFIG, else ./inbox.toml.",
    )(command)


def properties_option(command: Command) -> Command:
    """Add `-X key=value`, any number of times, to a command."""
    return click.option(
        "-X",
        "properties",
        multiple=True,
        callback=_pairs,
        metavar="KEY=VALUE",
        help="A librdkafka property, which overrides every other source; may be repeated.",
    )(command)


def _pairs(_: click.Context, __: click.Parameter, given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(_pair(text) for text in given)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        # The text may be a secret without its name, so it is not quoted.
        raise click.BadParameter("expected KEY=VALUE, as in -X bootstrap.servers=kafka:9092")
    if is_secret(name):
        raise click.BadParameter(
            f"{name} is a secret, and the arguments of a process can be read by everybody on its machine; give it as "
            f"environment variable INBOX_KAFKA__{spelt_in_variables(name).upper()}, or as file "
            f"kafka__{spelt_in_variables(name)} in the directory that INBOX_SECRETS_DIR names"
        )
    if LOGIN_IN_URL.search(value):
        raise click.BadParameter(
            f"{name} holds a password, and the arguments of a process can be read by everybody on its machine; give a "
            "URL without one"
        )
    return name, value


def without_login(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """Return the URL of a database that an option names; refuse one that holds a password."""
    if url is not None and (LOGIN_IN_URL.search(url) or NAMED_SECRET.search(url)):
        raise click.BadParameter(
            "the URL holds a password, and the arguments of a process can be read by everybody on its machine; give a "
            "URL without one, and the password as PGPASSWORD or in ~/.pgpass"
        )
    return url


def plan_option(command: Command) -> Command:
    """Add the option --plan: the plan that was shown, so that no other one is carried out."""
    text = "With --execute: the id of the plan as it was shown. If the plan has changed, show it and do nothing."
    return click.option("--plan", "shown", metavar="ID", help=text)(command)


def report_stale_plan() -> int:
    """Say that the plan of a topic is not the one that --plan names, and return the exit code."""
    notice("the plan is not the one that was shown, because the ledger or the log moved; nothing was changed")
    return FAILURE


def json_option(command: Command) -> Command:
    """Add `--json` to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def sample_option(command: Command) -> Command:
    """Add `--sample` to a command that looks at the events of a topic."""
    return click.option(
        "--sample",
        type=click.IntRange(1, 100_000),
        default=1000,
        show_default=True,
        metavar="N",
        help="The number of events to read: the oldest and the newest of each partition.",
    )(command)


def example(text: str) -> str:
    """Return the epilog of a command's help, with an example."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in text.splitlines())


def sink_settings(
    config: Path | None, properties: tuple[tuple[str, str], ...] = (), *, database_url: str | None = None
) -> Settings:
    """Load the whole configuration, and keep its secrets out of what the program prints.

    `database_url` counts instead of `[database] url`.

    Raises:
        StartupError: something is wrong or missing; the text names everything.
    """
    environ = {**_environ(), **({} if database_url is None else {"INBOX_DATABASE__URL": database_url})}
    settings = load_settings(config=config, flags=dict(properties), environ=environ, cwd=Path.cwd())
    _learn(settings.database, settings.kafka, settings.registry)
    return settings


def any_settings(config: Path | None, properties: tuple[tuple[str, str], ...] = ()) -> Settings | RelaySettings:
    """Return a relay's settings if the configuration has an outbox and no sink, else a sink's.

    Raises:
        StartupError: as `sink_settings`.
    """
    settings = load_any_settings(config=config, flags=dict(properties), environ=_environ(), cwd=Path.cwd())
    _learn(settings.database, settings.kafka, settings.registry if isinstance(settings, Settings) else None)
    return settings


def relay_settings(config: Path | None, properties: tuple[tuple[str, str], ...] = ()) -> RelaySettings:
    """Load the part of the configuration for the commands that publish the outbox.

    Raises:
        StartupError: as `sink_settings`.
    """
    settings = load_relay_settings(config=config, flags=dict(properties), environ=_environ(), cwd=Path.cwd())
    _learn(settings.database, settings.kafka)
    return settings


def settings_reader(config: Path | None, properties: tuple[tuple[str, str], ...]) -> Callable[[], Settings]:
    """Return a function that loads as `sink_settings` does, later and on any thread."""
    context = click.get_current_context()

    def read() -> Settings:
        with context.scope(cleanup=False):
            return sink_settings(config, properties)

    return read


def database_settings(config: Path | None) -> DatabaseSettings:
    """Load the part of the configuration for commands that work in the database alone.

    Raises:
        StartupError: as `sink_settings`.
    """
    settings = load_database_settings(config=config, flags={}, environ=_environ(), cwd=Path.cwd())
    _learn(settings.database)
    return settings


def server_settings(config: Path | None, properties: tuple[tuple[str, str], ...] = ()) -> ServerSettings:
    """Load the part of the configuration for commands that look at topics before there is a route.

    Raises:
        StartupError: as `sink_settings`.
    """
    settings = load_server_settings(config=config, flags=dict(properties), environ=_environ(), cwd=Path.cwd())
    if settings.database is not None:
        _learn(settings.database, settings.kafka, settings.registry)
    else:
        of_command().learn_servers(settings.kafka, settings.registry)
    return settings


def _environ() -> Mapping[str, str]:
    return dict(os.environ)


def _learn(
    database: DatabaseOptions, kafka: KafkaOptions | None = None, registry: RegistryOptions | None = None
) -> None:
    secrets = of_command()
    secrets.learn(database, kafka, registry)
    if password := os.environ.get("PGPASSWORD"):
        secrets.learn_value(password)
