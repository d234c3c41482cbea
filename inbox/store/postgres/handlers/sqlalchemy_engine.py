"""SQLAlchemy over a connection that is already in a transaction.

Only modules that use SQLAlchemy import this one, which imports SQLAlchemy.
"""

from collections.abc import Callable
from typing import cast

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from inbox.store.postgres.connection import Connection, Ends


def engine_over(
    connection: Connection, note: Callable[[ExceptionContext], None], executes: Callable[[str], None]
) -> Engine:
    """Return an engine over this one connection, whose transaction continues.

    `executes` is called with each statement, `note` with each that fails.

    Raises:
        psycopg.Error: the connection broke meanwhile.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connection,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        hide_parameters=True,
    )
    # SQLAlchemy first asks a few questions and ends them with a rollback, which must not take effect.
    ends, connection.ends = connection.ends, Ends.IGNORED
    try:
        engine.connect().close()
    except DBAPIError as error:
        raise cast(psycopg.Error, error.orig) from error
    finally:
        connection.ends = ends
    event.listen(engine, "handle_error", note)
    event.listen(engine, "before_cursor_execute", lambda *arguments: executes(arguments[2]))
    return engine
