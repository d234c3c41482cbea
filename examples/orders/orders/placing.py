"""What placing an order does: one transaction with the order, its event, and the customer's credit."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from inbox.outbox import publish
from orders.models import Customer, Order

TOPIC = "order.events"


def place(session: Session, order: Order, *, topic: str = TOPIC) -> None:
    """Place the order in the session's transaction, event and all.

    Whatever fails afterwards takes the event back with the order: an order beyond the customer's credit raises
    IntegrityError here, and nobody ever hears of it.
    """
    session.add(order)
    session.flush()
    event = {"order_id": order.order_id, "sku": order.sku, "quantity": order.quantity}
    publish(session, topic=topic, type="OrderCreated", key=order.order_id, payload=event)
    credit = update(Customer).where(Customer.name == order.customer).values(credit=Customer.credit - order.quantity)
    session.execute(credit)
