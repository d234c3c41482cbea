"""Columns that many of the inbox's tables have."""

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, text


def now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))
