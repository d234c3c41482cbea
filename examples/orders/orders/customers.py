"""Customers who order over HTTP and do not give up: `python -m orders.customers --orders 1000`.

A request whose answer does not come is sent again, with the same order id, until there is an answer. So an order is
placed once although its request may come often.
"""

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import httpx
from inventory.tables import SKUS

from orders.setup import CUSTOMERS

TRY_AGAIN_SECONDS = 0.05
GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True)
class Wish:
    """What a customer wants."""

    order_id: str
    customer: str
    sku: str
    quantity: int


@dataclass
class Answers:
    """What the order service said: the truth that everything behind it is held against.

    `repeated` are the requests that were sent again because no answer came.
    """

    placed: list[Wish] = field(default_factory=list)
    refused: list[Wish] = field(default_factory=list)
    repeated: int = 0


def wishes(count: int, *, seed: int = 1) -> Iterator[Wish]:
    """So many, decided by the seed. The last customer's credit ends after some thirty orders."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        customer, sku = chance.choice(CUSTOMERS), chance.choice(SKUS)
        yield Wish(f"O-{seed}-{number:06}", customer, sku, chance.randint(1, 5))


class Customers:
    """Place orders from several threads at once."""

    def __init__(self, service_url: str) -> None:
        self._service_url = service_url

    def order(self, wanted: Sequence[Wish], *, concurrent: int = 8) -> Answers:
        """Send the orders, at most `concurrent` of them at a time, and return when each has its answer.

        Raises:
            httpx.HTTPError: the service did not answer within a minute, or its answer is not an order.
        """
        answers = Answers()
        with httpx.Client(base_url=self._service_url) as client, ThreadPoolExecutor(concurrent) as pool:
            for wish, (answer, repeated) in zip(wanted, pool.map(partial(_ask, client), wanted), strict=True):
                answers.repeated += repeated
                if answer.status_code == httpx.codes.CONFLICT:
                    answers.refused.append(wish)
                else:
                    answer.raise_for_status()
                    answers.placed.append(wish)
        return answers


def _ask(client: httpx.Client, wish: Wish) -> tuple[httpx.Response, int]:
    """The answer, and how often the request was sent again for it."""
    asked = {"customer": wish.customer, "sku": wish.sku, "quantity": wish.quantity}
    deadline = time.monotonic() + GIVE_UP_SECONDS
    for repeated in itertools.count():
        try:
            return client.put(f"/orders/{wish.order_id}", json=asked), repeated
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(TRY_AGAIN_SECONDS)
    raise AssertionError("itertools.count() does not end")


def main() -> None:
    """Orders from the service, new orders with each seed."""
    parser = argparse.ArgumentParser(prog="python -m orders.customers", description=main.__doc__)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--service", default="http://127.0.0.1:8000")
    parser.add_argument("--answers", type=Path, help="write there what the service said, as JSON")
    arguments = parser.parse_args()
    answers = Customers(arguments.service).order(list(wishes(arguments.orders, seed=arguments.seed)))
    if arguments.answers:
        arguments.answers.write_text(json.dumps(asdict(answers)))
    quantity = sum(wish.quantity for wish in answers.placed)
    print(f"{len(answers.placed)} orders placed, {quantity} pieces; {len(answers.refused)} refused")


if __name__ == "__main__":
    main()
