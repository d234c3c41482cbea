"""Write with the ORM of SQLAlchemy, in the transaction of the sink."""

from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from inbox import Event, Transaction

SCHEMA = "CREATE TABLE customers (customer_id integer PRIMARY KEY, name text NOT NULL, city text)"


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    customer_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str | None]


def keep_customer(event: Event, tx: Transaction) -> None:
    """Insert or update the customer. The sink commits, so that the session only flushes."""
    found = event.json()
    session = Session(bind=tx.connection)
    session.merge(Customer(customer_id=found["customer_id"], name=found["name"], city=found.get("city")))
    session.flush()
