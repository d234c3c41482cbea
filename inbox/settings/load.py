"""Load valid settings from the sources, or raise one error that names everything that is wrong."""

from collections.abc import Mapping
from pathlib import Path

from inbox.settings.document import Document
from inbox.settings.environment import CONFIG
from inbox.settings.model import (
    DatabaseSettings,
    RelaySettings,
    ServerSettings,
    Settings,
    database_settings,
    relay_settings,
    server_settings,
    sink_settings,
)
from inbox.settings.problems import Problems
from inbox.settings.rules.combined import review
from inbox.settings.sources import DEFAULT_FILE, gather
from inbox.settings.validation import read

_SINK = frozenset({"sink", "database", "kafka", "routes"})
_RELAY = frozenset({"database", "kafka", "outbox"})
_DATABASE = frozenset({"database"})
_SERVERS = frozenset({"kafka"})


def load_settings(*, config: Path | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path) -> Settings:
    """Load the configuration of a sink, for every command that knows its routes.

    `config` is the file of `--config`, `flags` the librdkafka properties of `-X`. Relative paths
    start at `cwd`.

    Raises:
        StartupError: something is wrong or missing; the text names everything, and nothing secret.
    """
    found = _load(config, flags, environ, cwd, _SINK)
    del environ, flags  # a traceback that prints local variables must not show the secrets in them
    return sink_settings(_sound(found), cwd)


def load_relay_settings(
    *, config: Path | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path
) -> RelaySettings:
    """Load the configuration of the relay and of the connector.

    They need `[database]`, `[kafka]` and `[outbox]`. Everything else in the sources is checked as
    well.

    Raises:
        StartupError: as `load_settings`.
    """
    found = _load(config, flags, environ, cwd, _RELAY)
    del environ, flags
    return relay_settings(_sound(found), cwd)


def load_any_settings(
    *, config: Path | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path
) -> Settings | RelaySettings:
    """Load the configuration of a relay or of a sink.

    It is a relay's if it has `[outbox]` and neither `[sink]` nor `[[routes]]`.

    Raises:
        StartupError: as `load_settings`.
    """
    found = _load(config, flags, environ, cwd, _RELAY)
    if isinstance(found, Document) and found.sink.name is None and not found.routes:
        return relay_settings(found, cwd)
    return load_settings(config=config, flags=flags, environ=environ, cwd=cwd)


def load_server_settings(
    *, config: Path | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path
) -> ServerSettings:
    """Load the configuration of commands that look at topics before there is a route, which need only `[kafka]`.

    Everything else in the sources is checked as well.

    Raises:
        StartupError: as `load_settings`.
    """
    found = _load(config, flags, environ, cwd, _SERVERS)
    file = cwd / (config or environ.get(CONFIG) or DEFAULT_FILE)
    del environ, flags
    return server_settings(_sound(found), file)


def load_database_settings(
    *, config: Path | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path
) -> DatabaseSettings:
    """Load the configuration of commands that work in the database alone, which need only `[database]`.

    Everything else in the sources is checked as well.

    Raises:
        StartupError: as `load_settings`.
    """
    found = _load(config, flags, environ, cwd, _DATABASE)
    del environ, flags
    return database_settings(_sound(found))


def _load(
    config: Path | None, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path, needed: frozenset[str]
) -> Document | Problems:
    problems = Problems()
    layers = gather(config, flags, environ, cwd, problems)
    if layers is None:
        return problems
    subject = read(layers, problems)
    review(subject, needed)
    return problems or subject.document


def _sound(found: Document | Problems) -> Document:
    if isinstance(found, Problems):
        raise found.error()
    return found
