"""The order service: `python -m orders.service` listens on http://127.0.0.1:8000, see /docs there.

It knows nothing of Kafka. An order and its event commit together in its database, and `inbox relay` sends the event.
"""

import argparse
from collections.abc import Iterator
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Response, status
from pydantic import BaseModel, Field
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orders.models import Order
from orders.placing import TOPIC, place
from orders.settings import read


class OrderRequest(BaseModel):
    """What a client asks for."""

    customer: str
    sku: str
    quantity: int = Field(gt=0)


def make_service(engine: Engine, topic: str = TOPIC) -> FastAPI:
    """The service on a database that has its tables and the outbox."""
    service = FastAPI(title="Orders")

    def session() -> Iterator[Session]:
        with Session(engine) as opened:
            yield opened

    @service.put("/orders/{order_id}")
    def put_order(
        order_id: str, request: OrderRequest, response: Response, session: Annotated[Session, Depends(session)]
    ) -> OrderRequest:
        """Place an order: 201; or find that it was placed before, by a request whose answer got lost: 200."""
        if session.get(Order, order_id) is not None:
            return request
        try:
            place(session, Order(order_id=order_id, **request.model_dump()), topic=topic)
            session.commit()
        except IntegrityError as error:
            session.rollback()
            if session.get(Order, order_id) is not None:  # the same request came twice at once
                return request
            raise HTTPException(
                status.HTTP_409_CONFLICT, "beyond the customer's credit, or no such customer"
            ) from error
        response.status_code = status.HTTP_201_CREATED
        return request

    return service


def main() -> None:
    """Serves the orders of the database in `./orders.toml`."""
    parser = argparse.ArgumentParser(prog="python -m orders.service", description=main.__doc__)
    parser.add_argument("--config", default="orders.toml")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--topic", default=TOPIC)
    arguments = parser.parse_args()
    engine = create_engine(read(arguments.config).sqlalchemy_url, pool_size=10)
    uvicorn.run(make_service(engine, arguments.topic), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
