"""Bytes that come as text, and numbers that come as bytes."""

from psycopg import sql

from inbox.store.options import Reading
from inbox.store.tables.casts.fragments import cast_to, when
from inbox.store.tables.columns import TypeName

_LONGEST = 4 * -(-1024 // 3)
"""The most characters of base64 that are read as a number: its cost grows with the square of its length."""

_DECIMAL = """(SELECT pg_catalog.round(
    (SELECT pg_catalog.sum(pg_catalog.get_byte(b.bytes, i.index)::numeric OPERATOR(pg_catalog.*)
        (256::numeric OPERATOR(pg_catalog.^) (pg_catalog.octet_length(b.bytes) OPERATOR(pg_catalog.-) 1
        OPERATOR(pg_catalog.-) i.index)::numeric))
    FROM pg_catalog.generate_series(0, pg_catalog.octet_length(b.bytes) OPERATOR(pg_catalog.-) 1) AS i (index))
    OPERATOR(pg_catalog.-) CASE WHEN pg_catalog.get_byte(b.bytes, 0) OPERATOR(pg_catalog.>=) 128
        THEN 256::numeric OPERATOR(pg_catalog.^) pg_catalog.octet_length(b.bytes)::numeric ELSE 0 END, 0)
    OPERATOR(pg_catalog.*) {factor}::numeric
FROM (SELECT pg_catalog.decode({text}, 'base64') AS bytes OFFSET 0) AS b)"""
"""`get_byte` refuses index 0 of an empty value, so that an empty text fails."""


def from_encoded(reading: Reading, text: sql.Composable) -> sql.Composable:
    """Return the bytes of a text in base64 or in hexadecimal digits, with or without PostgreSQL's `\\x` before them."""
    if reading is Reading.HEX:
        digits = sql.SQL("pg_catalog.regexp_replace({}, {}, '')").format(text, sql.Literal(r"^\\x"))
        return sql.SQL("pg_catalog.decode({}, 'hex')").format(digits)
    return sql.SQL("pg_catalog.decode({}, 'base64')").format(text)


def decimal_of(kind: TypeName, scale: int, text: sql.Composable) -> sql.Composable:
    """Return the number whose digits are a big-endian two's complement in base64, as Kafka Connect's Decimal is."""
    factor = f"1{'0' * -scale}" if scale <= 0 else f"0.{'1'.zfill(scale)}"
    number = sql.SQL(_DECIMAL).format(factor=sql.Literal(factor), text=text)
    too_long = sql.SQL("pg_catalog.octet_length({}) OPERATOR(pg_catalog.>) {}").format(text, sql.Literal(_LONGEST))
    refused = sql.SQL("pg_catalog.left({}, 0)::integer").format(text)
    return when(too_long, cast_to(kind, refused), cast_to(kind, number))
