"""Compile a schema of Kafka Connect, as JsonConverter writes it, into a function that types its payloads."""

from binascii import a2b_base64
from decimal import Decimal
from math import isinf
from operator import itemgetter
from typing import Any

from inbox.reading.formats.logical_types import LOGICAL_TYPES
from inbox.reading.formats.misfits import ConnectSchemaError, Convert, InexactError, MisfitError

_DEEPEST = 100


def compiled(schema: Any, depth: int = 0) -> Convert:
    """Return the conversion for a schema.

    Raises:
        ConnectSchemaError: it is not a schema, or it nests too deep.
    """
    if depth > _DEEPEST:
        raise ConnectSchemaError(f"it nests more than {_DEEPEST} levels deep")
    if not isinstance(schema, dict) or not isinstance(kind := schema.get("type"), str):
        raise ConnectSchemaError('a part of it has no "type"')
    physical = _physical(schema, kind, depth)
    logical = LOGICAL_TYPES.get(schema.get("name") or "")
    if logical is None:
        return physical
    if kind not in logical.kinds:
        raise ConnectSchemaError(f"{schema['name']} is of {kind}, where it is of {' or '.join(logical.kinds)}")
    return logical.compile(physical, schema.get("parameters") or {})


def _physical(schema: dict[str, Any], kind: str, depth: int) -> Convert:
    if kind == "struct":
        return _struct(schema, depth)
    if kind == "array":
        return _array(compiled(schema.get("items"), depth + 1))
    if kind == "map":
        keys = schema.get("keys")
        values = compiled(schema.get("values"), depth + 1)
        if isinstance(keys, dict) and keys.get("type") == "string":
            return _map(values)
        return _pairs(compiled(keys, depth + 1), values)
    if (found := _PRIMITIVES.get(kind)) is None:
        raise ConnectSchemaError(f'it has the type "{kind[:40]}"')
    return found


def _struct(schema: dict[str, Any], depth: int) -> Convert:
    """Return the conversion of a struct, which changes the dict that it is given: nobody else has it."""
    fields = schema.get("fields")
    if not isinstance(fields, list):
        raise ConnectSchemaError('a struct of it has no "fields"')
    converts: dict[str, Convert] = {}
    for field in fields:
        if not isinstance(field, dict) or not isinstance(name := field.get("field"), str):
            raise ConnectSchemaError('a field of it has no "field"')
        converts[name] = compiled(field, depth + 1)
    # Most fields are as JSON has them: a look at their type is all that they need.
    plain = [(name, _PLAIN[convert]) for name, convert in converts.items() if convert in _PLAIN]
    others = [(name, convert) for name, convert in converts.items() if convert not in _PLAIN]
    names, kinds = converts.keys(), tuple(kind for _, kind in plain)
    # One look at all of them, where all are there and none is null.
    pick = itemgetter(*(name for name, _ in plain)) if len(plain) > 1 else None

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            raise MisfitError("an object")
        name = ""
        find = value.get
        try:
            if pick is None or value.keys() != names or tuple(map(type, pick(value))) != kinds:
                for name, kind in plain:
                    each = find(name)
                    if type(each) is not kind and each is not None:
                        value[name] = converts[name](each)
            for name, of in others:
                each = find(name)
                if each is not None:
                    value[name] = of(each)
        except MisfitError as error:
            error.path.insert(0, name)
            raise
        if len(value) > len(names) or not value.keys() <= names:
            # A member that the schema does not have is not in the payload either, as in Kafka Connect.
            return {name: each for name, each in value.items() if name in converts}
        return value

    return convert


def _array(of: Convert) -> Convert:
    kinds = _kinds(of)

    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise MisfitError("an array")
        if kinds and kinds.issuperset(map(type, value)):
            return value
        try:
            return [None if each is None else of(each) for each in value]
        except MisfitError as error:
            error.path.insert(0, "*")
            raise

    return convert


def _map(values: Convert) -> Convert:
    kinds = _kinds(values)

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            raise MisfitError("an object, the map of its schema")
        if kinds and kinds.issuperset(map(type, value.values())):
            return value
        try:
            return {name: None if each is None else values(each) for name, each in value.items()}
        except MisfitError as error:
            error.path.insert(0, "*")
            raise

    return convert


def _kinds(convert: Convert) -> frozenset[type]:
    """Return the types of values that the conversion leaves as they are; none for one that changes its values."""
    return frozenset((_PLAIN[convert], type(None))) if convert in _PLAIN else frozenset()


def _pairs(keys: Convert, values: Convert) -> Convert:
    """Return the conversion of a map whose keys are not texts: a list of pairs, in JSON and in the row."""

    def convert(value: Any) -> Any:
        if type(value) is not list or not all(type(pair) is list and len(pair) == 2 for pair in value):
            raise MisfitError("an array of pairs, the map of its schema")
        try:
            return [[*map(_nullable, (keys, values), pair)] for pair in value]
        except MisfitError as error:
            error.path.insert(0, "*")
            raise

    return convert


def _nullable(convert: Convert, value: Any) -> Any:
    return None if value is None else convert(value)


def _integer(value: Any) -> Any:
    """Return a whole number of any size: the column says what it holds."""
    kind = type(value)
    if kind is int:
        return value
    if kind is float:
        raise InexactError  # it may be one beyond 64 bits
    raise MisfitError("a whole number")


_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""The texts that Jackson writes for floats that JSON does not have."""


def _float(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return value
    if kind is int or kind is Decimal:
        try:
            found = float(value)
        except OverflowError:
            raise MisfitError("a number within the range of a double") from None
        if not isinf(found):
            return found
    elif kind is str and value in _SPECIAL:
        return _SPECIAL[value]
    raise MisfitError("a number within the range of a double")


def _boolean(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise MisfitError("true or false")


def _string(value: Any) -> Any:
    if type(value) is not str:
        raise MisfitError("a text")
    return value


def _bytes(value: Any) -> Any:
    if type(value) is str:
        try:
            return a2b_base64(value, strict_mode=True)
        except ValueError:
            pass
    raise MisfitError("bytes in base64")


_PRIMITIVES: dict[str, Convert] = {
    "boolean": _boolean,
    "int8": _integer,
    "int16": _integer,
    "int32": _integer,
    "int64": _integer,
    "float": _float,
    "double": _float,
    "string": _string,
    "bytes": _bytes,
}

_PLAIN: dict[Convert, type] = {_boolean: bool, _integer: int, _float: float, _string: str}
"""The conversions that leave a value of the right type as it is, with that type."""
