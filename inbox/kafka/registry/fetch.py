"""Ask a registry on a thread of its own, so that a slow one holds up nobody."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Fetch(Generic[_T]):
    """A fetch on a daemon thread, which does not keep the process alive."""

    def __init__(self, fetch: Callable[[], _T]) -> None:
        self._fetch = fetch
        self._done = threading.Event()
        self._found: list[_T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="inbox-registry", daemon=True).start()

    def _run(self) -> None:
        try:
            self._found.append(self._fetch())
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Return whether the fetch is done, after at most this time."""
        return self._done.wait(seconds)

    def result(self) -> _T:
        """Return what was found, or raise what the fetch raised."""
        if self._error is not None:
            raise self._error
        if not self._found:
            raise AssertionError("the fetch is not done")
        return self._found[0]
