"""Decode the plain JSON rows of a batch, each into a struct whose fields are the members that fill columns."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from inbox.document_bounds import LEAST_TO_EXCEED, any_may_exceed
from inbox.store.tables.plain.column import NotPlainError, PlainColumn

Tree = dict[str, "Tree | PlainColumn"]
"""The members of a row that are read, by name: a column's, or those of an object."""


_NOT_READ = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class PlainRows:
    """The decoder of a route's rows.

    It takes no document that PostgreSQL refuses as `jsonb`. msgspec looks at the syntax of each
    document; where it decodes all members, their texts are UTF-8 as well, and only large documents
    may exceed a bound. Documents with other members are looked at for both.

    Raises on construction:
        NotPlainError: a member, or a part of it, would fill a second column.
    """

    def __init__(self, columns: Sequence[PlainColumn]) -> None:
        tree = _tree_of(columns)
        kind, places = _struct_of(tree, knows_all=True)
        self._decode_all = msgspec.json.Decoder(kind).decode
        self._decode_some = msgspec.json.Decoder(_struct_of(tree, knows_all=False)[0]).decode
        self._members = [_Member(places[column.path], column.absent) for column in columns]

    def columns(self, documents: Sequence[bytes | None]) -> list[list[Any]]:
        """Return the members of each column, in the order of `columns`.

        Raises:
            NotPlainError: a document is not a plain row.
        """
        values = [*filter(None, documents)]
        if len(values) < len(documents):
            raise NotPlainError
        joined = b"\n".join(values)
        if b"\\" in joined and b"\\u0000" in joined:
            raise NotPlainError
        rows = self._rows(values, joined)
        return [member.of(rows) for member in self._members]

    def _rows(self, documents: Sequence[bytes], joined: bytes) -> list[Any]:
        try:
            rows = [*map(self._decode_all, documents)]
        except msgspec.ValidationError:
            return self._rows_with_others(documents, joined)
        except _NOT_READ:
            raise NotPlainError from None
        if max(map(len, documents), default=0) > LEAST_TO_EXCEED and any_may_exceed(documents):
            raise NotPlainError
        return rows

    def _rows_with_others(self, documents: Sequence[bytes], joined: bytes) -> list[Any]:
        try:
            if not joined.isascii():
                joined.decode()
            rows = [*map(self._decode_some, documents)]
        except _NOT_READ:
            raise NotPlainError from None
        if any_may_exceed(documents):
            raise NotPlainError
        return rows


class _Member:
    """A member of the decoded rows, perhaps within objects that may be absent or null."""

    def __init__(self, fields: Sequence[str], absent: Any) -> None:
        self._fields = fields
        self._absent = absent
        self._get = attrgetter(".".join(fields))

    def of(self, rows: Sequence[Any]) -> list[Any]:
        """Return the member of each row."""
        try:
            return [*map(self._get, rows)]
        except AttributeError:
            return [self._found(row) for row in rows]

    def _found(self, row: Any) -> Any:
        for field in self._fields:
            row = getattr(row, field, self._absent)
        return row


def _tree_of(columns: Sequence[PlainColumn]) -> Tree:
    tree: Tree = {}
    for column in columns:
        branch: Any = tree
        for step in column.path[:-1]:
            branch = branch.setdefault(step, {}) if isinstance(branch, dict) else branch
        if not isinstance(branch, dict) or branch.setdefault(column.path[-1], column) is not column:
            raise NotPlainError
    return tree


def _struct_of(tree: Tree, *, knows_all: bool) -> tuple[type[msgspec.Struct], Mapping[tuple[str, ...], Sequence[str]]]:
    """Return the struct of these members, and by the path of each the fields that lead to it.

    `knows_all`: it takes no object with other members.
    """
    fields: list[tuple[str, Any, Any]] = []
    places: dict[tuple[str, ...], Sequence[str]] = {}
    for name, below in tree.items():
        field = f"member_{len(fields)}"
        if isinstance(below, PlainColumn):
            fields.append((field, below.kind, below.absent))
            places[(name,)] = (field,)
        else:
            inner, within = _struct_of(below, knows_all=knows_all)
            fields.append((field, inner | None, None))
            places |= {(name, *path): (field, *rest) for path, rest in within.items()}
    names = dict(zip((field for field, _, _ in fields), tree, strict=True))
    return msgspec.defstruct("Row", fields, rename=names, gc=False, forbid_unknown_fields=knows_all), places
