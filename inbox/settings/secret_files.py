"""The files from which secrets come, and the test whether their contents have changed."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from inbox.settings.environment import SECRETS_DIR
from inbox.settings.model import Settings

_OF_URL = frozenset({"passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl"})


def secret_files(settings: Settings, environ: Mapping[str, str], cwd: Path) -> list[Path]:
    """Return the files of the secrets directory, and the certificates and keys that the settings name.

    Some of the files may be absent.
    """
    return sorted({*_in_directory(environ, cwd), *(cwd / name for name in _named(settings))})


def fingerprint(files: list[Path]) -> bytes:
    """Return a digest of the files' contents, equal as long as nothing changed.

    A file that cannot be read counts as empty.
    """
    digest = hashlib.sha256()
    for file in files:
        content = b""
        with suppress(OSError):
            content = file.read_bytes() if file.is_file() else b""
        digest.update(str(file).encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.digest()


def _in_directory(environ: Mapping[str, str], cwd: Path) -> Iterator[Path]:
    if directory := environ.get(SECRETS_DIR):
        with suppress(OSError):
            yield from (file for file in (cwd / directory).iterdir() if not file.name.startswith("."))


def _named(settings: Settings) -> Iterator[str]:
    registry = {} if settings.registry is None else settings.registry.properties
    properties = [*settings.kafka.properties.items(), *registry.items()]
    yield from (value for name, value in properties if name.endswith(".location"))
    parameters = parse_qsl(urlsplit(settings.database.url.get_secret_value()).query)
    yield from (value for name, value in parameters if name in _OF_URL and value != "system")
