"""How a topic, or some of its partitions, is named on the command line."""

import click


def where(text: str) -> tuple[str, tuple[int, ...] | None]:
    """`orders`, or `orders:0,3`. Kafka allows no colon in a topic's name."""
    name, colon, numbers = text.partition(":")
    if not colon:
        return name, None
    try:
        return name, tuple(sorted({int(number) for number in numbers.split(",")}))
    except ValueError:
        raise click.BadParameter("expected T or T:P,P, as in orders:0,3", param_hint="--topic") from None
