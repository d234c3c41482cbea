"""The order service's own tables."""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of the order service."""


class Customer(Base):
    """Who orders; `credit` are the pieces that may still be ordered."""

    __tablename__ = "customers"
    __table_args__ = (CheckConstraint("credit >= 0", name="credit_is_not_exceeded"),)

    name: Mapped[str] = mapped_column(primary_key=True)
    credit: Mapped[int]


class Order(Base):
    """An order that was placed. Its id is the client's, so that a client may ask again without ordering twice."""

    __tablename__ = "orders"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(ForeignKey(Customer.name))
    sku: Mapped[str]
    quantity: Mapped[int]
    placed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
