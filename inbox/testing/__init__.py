"""Test handlers and routes as the sink will run them: on a real Kafka and a real PostgreSQL.

The pytest fixtures are in `inbox.testing.plugin`, which pytest loads by itself once `kafka-inbox[testing]`
is installed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inbox.testing.contract import HandlerContract
    from inbox.testing.sink import ParkedEvent, SinkUnderTest

__all__ = ["HandlerContract", "ParkedEvent", "SinkUnderTest"]


def __getattr__(name: str) -> Any:
    """Import a name of the kit at its first use: with the plugin, pytest loads this package in every run."""
    if name == "HandlerContract":
        from inbox.testing.contract import HandlerContract

        return HandlerContract
    if name in __all__:
        from inbox.testing import sink

        return getattr(sink, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
