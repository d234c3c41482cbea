"""Check the shape of a handler, and what its calls return.

A handler that did not run is never a success. A call of an `async def` function or of a generator
function runs nothing: it returns an object, and the function's body runs only when that object is
awaited or iterated. So do `map` and `filter`. A future that is not done may run when the transaction
is over.
"""

import inspect
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from functools import partial
from itertools import starmap
from typing import Any, NoReturn

from inbox.errors import InboxError

_CHILD_RETURNED = (
    b"inbox: a process that a handler forked came out of the handler, and was ended; "
    b"end it in the handler by os._exit(), or start a program by subprocess\n"
)


class UnfinishedHandlerError(InboxError, TypeError):
    """A handler that returned something to await or iterate, so that its body did not run to its end."""


class _Process:
    """A count of forks, which differs between a process and its child. `os.getpid` costs two system calls an event."""

    forks = 0

    @classmethod
    def forked(cls) -> None:
        cls.forks += 1


os.register_at_fork(after_in_child=_Process.forked)

_WAY_OUT = "write it as a plain `def`, and publish what has to wait for another service to the outbox"


def unfinished_problem(target: Callable[..., Any]) -> str | None:
    """Return why a call of `target` would not run it, or None. This check calls nothing."""
    for function in _functions(target):
        if inspect.iscoroutinefunction(function):
            return f"is an `async def` function, whose call runs nothing; {_WAY_OUT}"
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            return "is a generator function (it has a `yield`), whose call runs nothing; write it as a plain `def`"
    return None


def arguments_problem(target: Callable[..., Any]) -> str | None:
    """Return why `target` cannot be called with an event and a transaction, or None."""
    if _takes_two(target):
        return None
    return "cannot be called with two arguments; write it as `def handler(event, tx)`"


def has_mark(target: object, mark: str) -> bool:
    """Return whether `target`, or the function inside a `functools.partial`, has the mark."""
    return bool(getattr(innermost(target), mark, False) or getattr(target, mark, False))


def innermost(target: object) -> object:
    """Return the callable inside all `functools.partial` objects."""
    while isinstance(target, partial):
        target = target.func
    return target


def finishing(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return `call` with a guard that refuses a result which still has to be awaited or iterated.

    Other results are returned as they are. A process that was forked during the call ends here,
    because it holds a copy of its parent's batch.
    """

    def guarded(argument: Any, transaction: Any) -> Any:
        forks = _Process.forks
        try:
            result = call(argument, transaction)
        finally:
            if _Process.forks != forks:
                _end_child()
        if result is not None:
            _refuse_unfinished(result)
        return result

    return guarded


def _end_child() -> NoReturn:
    # Do not flush or log: a lock may be held by a thread that this process does not have.
    os.write(2, _CHILD_RETURNED)
    os._exit(1)


def _functions(target: object) -> tuple[object, object]:
    """Return the callable, and the function that a call of an instance runs."""
    function = innermost(target)
    return function, innermost(getattr(type(function), "__call__", None))  # noqa: B004 - its function


def _takes_two(target: Callable[..., Any]) -> bool:
    """Return whether the target takes an event and a transaction. An unknown or replaced signature counts as yes."""
    if hasattr(target, "__signature__"):
        return True
    try:
        signature = inspect.signature(target, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    return True


def _refuse_unfinished(result: object) -> None:
    # `@contextmanager` hides a generator in `gen`.
    for each in (result, getattr(result, "gen", None)):
        if isinstance(each, Awaitable | Generator | AsyncGenerator | map | filter | starmap) or _is_elsewhere(each):
            _close(each)
            raise UnfinishedHandlerError(
                f"the handler returned an object of type {type(result).__name__}, so it did not run to its "
                f"end; {_WAY_OUT}"
            )


def _is_elsewhere(result: Any) -> bool:
    """Return whether another thread or process still has to run it. Nobody has made one before the module is loaded."""
    futures = sys.modules.get("concurrent.futures")
    return futures is not None and isinstance(result, futures.Future) and not result.done()


def _close(unfinished: object) -> None:
    """Close the object, so that Python does not warn of a coroutine that was never awaited."""
    end = getattr(unfinished, "close", None) or getattr(unfinished, "cancel", None)
    if end is not None:
        with suppress(Exception):
            end()
