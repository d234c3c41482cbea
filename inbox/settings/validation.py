"""The review of a configuration: first each value by itself, then the rules that join the sound values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inbox.settings.document import Document, keys_at
from inbox.settings.problems import Path, Problems, UnfitError, did_you_mean, hint, holds_secret, quote, show_path
from inbox.settings.sources import Layers


@dataclass(frozen=True)
class Review:
    """A document under review: its sound part, the parts taken out of it, and the collector of problems."""

    document: Document
    broken: frozenset[Path]
    layers: Layers
    problems: Problems

    def blame(self, path: Path, text: str) -> None:
        """Note a problem with the value at this path."""
        self.problems.add(f"{show_path(path)} ({self.layers.origin(path)})", text)

    def is_broken(self, path: Path) -> bool:
        """Return whether the value there, or something around it, was refused already.

        Nothing more can be said of such a value.
        """
        return any(path[:length] in self.broken for length in range(1, len(path) + 1))

    def is_broken_within(self, path: Path) -> bool:
        """Return whether the value there or any part of it was refused already."""
        return self.is_broken(path) or any(broken[: len(path)] == path for broken in self.broken)

    def missing(self, path: Path, value: object) -> bool:
        """Return whether a value is absent, and was not refused."""
        return value is None and not self.is_broken(path)


def read(layers: Layers, problems: Problems) -> Review:
    """Check every value by itself, note what is wrong, and keep the rest."""
    broken: set[Path] = set()
    for error in _errors(layers.tree):
        path, is_key = _path_of(error)
        problems.add(f"{show_path(path)} ({layers.origin(path)})", _text(error, path, is_key))
        broken.add(_removable(path))
    for path in sorted(broken, key=len):
        _remove(layers.tree, path)
    return Review(Document.model_validate(layers.tree), frozenset(broken), layers, problems)


def _errors(tree: Mapping[str, Any]) -> list[ErrorDetails]:
    try:
        Document.model_validate(tree)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _path_of(error: ErrorDetails) -> tuple[Path, bool]:
    """Return the path, and whether the name there is wrong and not the value.

    For a wrong name pydantic's path ends in "[key]".
    """
    path: Path = error["loc"]
    return (path[:-1], True) if path[-1] == "[key]" else (path, False)


def _text(error: ErrorDetails, path: Path, is_key: bool) -> str:
    value = error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{_key_hint(path)}"
        case "value_error":
            return _unfit(error.get("ctx", {}).get("error"), value, secret=holds_secret(path) and not is_key)
        case "model_type" | "dict_type":
            return f"expected a table{_double_brackets(value)}"
        case "list_type":
            return "expected a list, even of one" + ("; [[routes]] begins each route" if path == ("routes",) else "")
    return "cannot be read"


def _unfit(reason: object, value: object, *, secret: bool) -> str:
    if not isinstance(reason, UnfitError):
        return "cannot be read"
    if secret:
        return f"expected {reason.expected} (the value is not shown)"
    near = did_you_mean(value, reason.choices) if isinstance(value, str) else ""
    return f"expected {reason.expected}, not {quote(value)}{near}"


def _key_hint(path: Path) -> str:
    """Return a hint at the table where a key of this very name belongs.

    If there is none, the hint names the nearest key of the same table.
    """
    name = str(path[-1])
    inner = (*path[:-1], "table")
    tables: list[Path] = [(section,) for section in keys_at(())] if len(path) == 2 else [inner, path[:2]]
    for table in tables:
        if name in keys_at(table):
            return f"; did you mean {show_path((*table, name))}?"
    return hint(name, keys_at(path[:-1]))


def _double_brackets(value: object) -> str:
    return ", which [name] begins, not a list of them, which [[name]] begins" if isinstance(value, list) else ""


def _removable(path: Path) -> Path:
    """Return the nearest path that can be taken out without moving its neighbours.

    An item of a list takes the list along.
    """
    return path if isinstance(path[-1], str) else _removable(path[:-1])


def _remove(tree: dict[str, Any], path: Path) -> None:
    table: Any = tree
    for part in path[:-1]:
        if isinstance(table, dict) and part not in table:
            return
        table = table[part]
    table.pop(path[-1], None)
