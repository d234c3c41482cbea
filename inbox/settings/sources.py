"""The sources of values: the file, the secrets directory, the environment, the flags. A later source wins."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from inbox.settings import environment
from inbox.settings.librdkafka import canonical
from inbox.settings.problems import Path, Problems, hint, show_path

DEFAULT_FILE = "inbox.toml"

FLAG = "flag -X"
"""The origin of a property given on the command line."""

_HOW_TO_BEGIN = """make one, or name one with --config or INBOX_CONFIG. A small one:
    [sink]
    name = "inventory"
    [database]
    url = "postgresql://inventory@localhost:5432/inventory"
    [kafka]
    "bootstrap.servers" = "localhost:9092"
    [[routes]]
    topic = "order.events"
    handler = "reserve_stock\""""


@dataclass(frozen=True)
class Value:
    """A setting from outside the file. The text may be a secret, so the repr leaves it out."""

    path: tuple[str, str]
    text: str = field(repr=False)
    origin: str


@dataclass
class Layers:
    """The merged values, still as they were written, with the origin of each."""

    file: str
    tree: dict[str, Any] = field(default_factory=dict, repr=False)
    _origins: dict[Path, str] = field(default_factory=dict)

    def put(self, value: Value) -> None:
        """Put a value over the present one. A property replaces one that librdkafka takes for the same."""
        section, key = value.path
        table = self.tree.setdefault(section, {})
        if not isinstance(table, dict):
            return  # the file has something else there, which is reported separately
        if section == "kafka":
            for other in [name for name in table if canonical(name) == canonical(key)]:
                del table[other]
        table[key] = value.text
        self._origins[value.path] = value.origin

    def origin(self, path: Path) -> str:
        """Return the source of the value at this path."""
        return self._origins.get(path[:2], self.file)


def gather(
    config: FilePath | None,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: FilePath,
    problems: Problems,
) -> Layers | None:
    """Return every source merged, or None if the sources cannot be judged as a whole; `problems` says why."""
    values = [*_secrets(environ, cwd, problems), *_variables(environ, problems)]
    values += [Value(("kafka", name), text, FLAG) for name, text in flags.items()]
    layers = _start(config, environ.get(environment.CONFIG, ""), cwd, problems, anything_else=bool(values or problems))
    if layers is not None:
        for value in values:
            layers.put(value)
    return layers


def _start(
    config: FilePath | None, variable: str, cwd: FilePath, problems: Problems, *, anything_else: bool
) -> Layers | None:
    """Return the layer under all other sources: the file, or an empty one.

    The layer is empty if no file is named and ./inbox.toml is absent, but another source has
    values.
    """
    if config or variable:
        return _from_file(config or FilePath(variable), config, cwd, problems)
    if (cwd / DEFAULT_FILE).exists():
        return _from_file(FilePath(DEFAULT_FILE), None, cwd, problems)
    if anything_else:
        return Layers(DEFAULT_FILE)
    problems.add("no configuration", f"there is no {DEFAULT_FILE} in {cwd}; {_HOW_TO_BEGIN}")
    return None


def _from_file(file: FilePath, config: FilePath | None, cwd: FilePath, problems: Problems) -> Layers | None:
    tree = _file(cwd / file, _subject(file, config), problems)
    if tree is None:
        return None
    layers = Layers(str(file), tree)
    for section in ("kafka", "registry"):
        _flatten(section, layers, problems)
    return layers


def _subject(file: FilePath, config: FilePath | None) -> str:
    if config:
        return f"{file} (flag --config)"
    return str(file) if str(file) == DEFAULT_FILE else f"{file} (environment variable {environment.CONFIG})"


def _file(file: FilePath, subject: str, problems: Problems) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.add(subject, "there is no such file")
    except OSError as error:
        problems.add(subject, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.add(subject, "is not UTF-8 text, as TOML has to be")
    except tomllib.TOMLDecodeError as error:
        problems.add(subject, f"is not TOML: {str(error)[:1].lower()}{str(error)[1:]}")
    return None


def _flatten(section: str, layers: Layers, problems: Problems) -> None:
    """Turn an unquoted `bootstrap.servers`, to TOML a table within a table, into the property."""
    table = layers.tree.get(section)
    if not isinstance(table, dict):
        return
    flat: dict[str, Any] = {}
    for name, value in _leaves("", table):
        if name in flat:
            problems.add(f"{show_path((section, name))} ({layers.file})", "is there twice; keep one")
        flat[name] = value
    layers.tree[section] = flat


def _leaves(prefix: str, table: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


def _variables(environ: Mapping[str, str], problems: Problems) -> Iterator[Value]:
    for name in sorted(environ):
        if name in {environment.CONFIG, environment.SECRETS_DIR} or environment.is_foreign(name, environ[name]):
            continue
        if path := environment.ENVIRONMENT.get(name):
            yield Value(path, environ[name], f"environment variable {name}")
        else:
            known = [environment.CONFIG, environment.SECRETS_DIR, *environment.ENVIRONMENT]
            problems.add(f"environment variable {name}", _unknown(name, known))


def _secrets(environ: Mapping[str, str], cwd: FilePath, problems: Problems) -> Iterator[Value]:
    if not environ.get(environment.SECRETS_DIR):
        return
    folder = cwd / environ[environment.SECRETS_DIR]
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith(".") and not file.is_dir())
    except OSError as error:
        problems.add(f"{folder} (environment variable {environment.SECRETS_DIR})", f"cannot be read: {error.strerror}")
        return
    for file in files:
        path = environment.SECRET_FILES.get(file.name) or environment.SECRET_FILES.get(file.name.replace(".", "_"))
        if path is None:
            problems.add(f"secret file {file.name}", _unknown(file.name, list(environment.SECRET_FILES)))
        elif (text := _secret(file, problems)) is not None:
            yield Value(path, text, f"secret file {file.name}")


def _secret(file: FilePath, problems: Problems) -> str | None:
    if file.exists() and not file.is_file():
        problems.add(f"secret file {file.name}", "is not a regular file")
        return None
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        problems.add(f"secret file {file.name}", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.add(f"secret file {file.name}", "is not UTF-8 text")
    return None


def _unknown(name: str, known: list[str]) -> str:
    if environment.is_file_only(name):
        return "this setting is read from the file alone; put it there"
    return f"unknown{hint(name, known)}"
