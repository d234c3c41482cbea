"""The command `inbox dev up`: a Kafka and a PostgreSQL to develop against, until Ctrl-C."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from inbox.dev.backends import Servers, servers
from inbox.dev.local.registry import LocalRegistry
from inbox.errors import StartupError

CONFIGURATION = """\
[sink]
name = "development"

[database]
url = {url}

[kafka]
"bootstrap.servers" = {bootstrap_servers}

# [[routes]]
# topic = "orders"
# [routes.table]
# name = "public.orders"
# mode = "upsert"
# key = ["order_id"]
# [routes.table.columns]
# order_id = "/order_id"
# document = "$value"
"""


def up(*, out: TextIO, config_path: Path | None = None, registry: bool = False) -> int:
    """Start both servers, print their addresses, and wait for SIGINT or SIGTERM; return the exit code 0.

    The `inbox.toml` for them is written to `config_path`, readable by its owner alone and removed at the end,
    or printed if there is no path. Call it from the main thread. Raises StartupError if a server cannot be
    started or the file exists already.
    """

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    if config_path is not None and config_path.exists():
        raise _already_there(config_path)
    with (
        suppress(KeyboardInterrupt),
        _interrupted_by_sigterm(),
        servers(progress=say) as running,
        _registry(say, wanted=registry) as registry_url,
        _written(config_path, running, registry_url),
    ):
        say(_announcement(running, config_path, registry_url))
        _wait_for_interrupt()
        say("stopping")
    return 0


def _already_there(path: Path) -> StartupError:
    return StartupError(f"{path} exists already; remove it or choose another with --config")


@contextmanager
def _registry(say: Callable[[str], None], *, wanted: bool) -> Iterator[str | None]:
    """Provide a schema registry while the context lasts; its address, or None if none is wanted."""
    if not wanted:
        yield None
        return
    server = LocalRegistry(progress=say)
    try:
        server.start()
        yield server.url
    finally:
        server.close()


def _announcement(running: Servers, config_path: Path | None, registry_url: str | None = None) -> str:
    return "\n".join(
        (
            running.description,
            f"bootstrap.servers  {running.bootstrap_servers}",
            f"database           {running.database_url}",
            *([f"registry           {registry_url}"] if registry_url else []),
            f"configuration      {config_path}"
            if config_path
            else f"\n# inbox.toml\n{configuration(running, registry_url)}",
            "running; Ctrl-C stops both and removes what they stored",
        )
    )


def _wait_for_interrupt() -> None:
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Interrupt on SIGTERM as on SIGINT: a download as well as the waiting."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def configuration(running: Servers, registry_url: str | None = None) -> str:
    """Return an `inbox.toml` for these servers."""
    registry = f"\n[registry]\nurl = {_quoted(registry_url)}\n" if registry_url else ""
    # a TOML basic string and a JSON string are the same for what can stand in a URL or an address
    return (
        CONFIGURATION.format(url=_quoted(running.database_url), bootstrap_servers=_quoted(running.bootstrap_servers))
        + registry
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def _written(path: Path | None, running: Servers, registry_url: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise _already_there(path) from error
    except OSError as error:
        raise StartupError(f"{path} could not be written: {error.strerror}; choose another with --config") from error
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(configuration(running, registry_url))
        yield
    finally:
        path.unlink(missing_ok=True)
