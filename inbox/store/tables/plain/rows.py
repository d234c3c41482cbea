"""Decode the plain JSON rows of a batch, each into a struct whose fields are the members that fill columns."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from inbox.document_bounds import any_may_exceed
from inbox.store.tables.plain.column import NotPlainError, PlainColumn

Tree = dict[str, "Tree | PlainColumn"]
"""The members that fill columns, by name; an object has a tree of its own."""

_LARGEST = 15_000
"""The most bytes of a plain document. A number in it cannot have more digits than `numeric` takes: 16,383 behind
the point, of which an exponent may add `LARGEST_EXPONENT`.
"""

_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class PlainRows:
    """The decoder of a route's rows.

    It takes no document that PostgreSQL refuses as `jsonb`. msgspec looks at the syntax of the whole
    document. It does not look at what it skips, or decodes as `Raw`, for UTF-8 and NUL, nor at any
    bound, so that the bytes of the documents are looked at for these.

    Raises on construction:
        NotPlainError: a member, or a part of it, would fill a second column.
    """

    def __init__(self, columns: Sequence[PlainColumn]) -> None:
        kind, fields_by_path = _struct_of(_tree_of(columns))
        self._decode = msgspec.json.Decoder(kind).decode
        self._members = [_Member(fields_by_path[column.path], column.absent) for column in columns]

    def columns(self, documents: Sequence[bytes | None]) -> list[list[Any]]:
        """Return the members of each column, in the order of `columns`.

        Raises:
            NotPlainError: a document is not a plain row.
        """
        values = [*filter(None, documents)]
        if len(values) < len(documents) or max(map(len, values), default=0) > _LARGEST:
            raise NotPlainError
        joined = b"\n".join(values)
        if (b"\\" in joined and b"\\u0000" in joined) or any_may_exceed(values):
            raise NotPlainError
        try:
            if not joined.isascii():
                joined.decode()
            rows = [*map(self._decode, values)]
        except _UNDECODABLE:
            raise NotPlainError from None
        return [member.of(rows) for member in self._members]


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


def _struct_of(tree: Tree) -> tuple[type[msgspec.Struct], Mapping[tuple[str, ...], Sequence[str]]]:
    """Return the struct of these members, and by the path of each the fields that lead to it."""
    fields: list[tuple[str, Any, Any]] = []
    fields_by_path: dict[tuple[str, ...], Sequence[str]] = {}
    for name, below in tree.items():
        field = f"member_{len(fields)}"
        if isinstance(below, PlainColumn):
            fields.append((field, below.kind, below.absent))
            fields_by_path[(name,)] = (field,)
        else:
            inner, within = _struct_of(below)
            fields.append((field, inner | None, None))
            fields_by_path |= {(name, *path): (field, *rest) for path, rest in within.items()}
    names = dict(zip((field for field, _, _ in fields), tree, strict=True))
    return msgspec.defstruct("Row", fields, rename=names, gc=False), fields_by_path
