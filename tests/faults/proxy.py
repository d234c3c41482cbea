"""A way to a server that a test can make slow, silent or broken, on a port that stays."""

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from types import TracebackType
from typing import Any

from inbox.dev.ports import LOOPBACK
from tests.faults.wire import ClientMessages, ServerMessages

_CHUNK = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Cut(StrEnum):
    """Where a connection to PostgreSQL is cut: what the server did, and what its client knows of it."""

    UNSENT = "commit-unsent"  # the server never sees COMMIT, and rolls back
    UNANSWERED = "commit-unanswered"  # it committed, and the client does not know
    ANSWERED = "commit-answered"  # the client knows, and has no connection any more


class _Link:
    """One connection through the proxy, both ways."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.from_client = ClientMessages()
        self.from_server = ServerMessages(self.from_client)
        self.holed = False

    def reset(self) -> None:
        for end in (self.client, self.server):
            plug: socket.socket | None = end.get_extra_info("socket")
            with suppress(OSError):
                if plug is not None:
                    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.transport.abort()

    def close(self) -> None:
        """In order: what was written still arrives."""
        for end in (self.client, self.server):
            end.close()


class Proxy:
    """Passes bytes between its clients and the server at `server_port`, from a thread of its own.

    With `postgresql` it follows the messages, so that it can cut at a COMMIT.
    `delay_seconds` holds up every chunk, either way; it may be set at any time.
    """

    def __init__(self, server_port: int, *, port: int = 0, postgresql: bool = False) -> None:
        self._server_port = server_port
        self._postgresql = postgresql
        self._listener = socket.create_server((LOOPBACK, port))
        self.port: int = self._listener.getsockname()[1]
        self.delay_seconds = 0.0
        self.cuts: Counter[Cut] = Counter()
        self._armed: list[Cut] = []
        self._silent = False
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._in_loop(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._in_loop(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(120)
        self._loop.close()

    # What a test does to the connections.

    def reset(self) -> int:
        """RST to both ends of every connection there is; returns how many."""
        return self._in_loop(self._reset(holed_only=False))

    @contextmanager
    def blackhole(self) -> Iterator[None]:
        """Inside, connections are accepted and every byte is lost; afterwards those that lost any are reset."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False
            self._in_loop(self._reset(holed_only=True))

    def cut(self, at: Cut) -> None:
        """Cut the connection whose COMMIT comes next."""
        self._armed.append(at)

    def disarm(self) -> None:
        self._armed.clear()

    # Inside the loop.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, sock=self._listener)

    async def _end(self) -> None:
        self._server.close()
        await self._reset(holed_only=False)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset(self, *, holed_only: bool) -> int:
        chosen = [link for link in self._links if link.holed or not holed_only]
        for link in chosen:
            link.reset()
        return len(chosen)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._server_port)
        except OSError:
            _Link(writer, writer).reset()
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        ways = [self._pass(link, reader, server_writer, False), self._pass(link, server_reader, writer, True)]
        self._tasks |= (tasks := {self._loop.create_task(way) for way in ways})
        await asyncio.wait(tasks)
        self._tasks -= tasks
        self._links.discard(link)

    async def _pass(
        self, link: _Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, answers: bool
    ) -> None:
        try:
            while chunk := await source.read(_CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if self._silent or link.holed:
                    link.holed = True
                    continue
                until, cut = self._until_cut(link, chunk, answers) if self._postgresql else (len(chunk), None)
                target.write(chunk[:until])
                await target.drain()
                if cut is not None:
                    self.cuts[cut] += 1
                    link.close() if cut is Cut.ANSWERED else link.reset()
                    return
            link.close()
        except OSError:
            link.reset()

    def _until_cut(self, link: _Link, chunk: bytes, answers: bool) -> tuple[int, Cut | None]:
        """How much of the chunk is passed on, and the cut that follows."""
        for seen in list((link.from_server if answers else link.from_client).feed(chunk)):
            if not answers and seen.is_commit and self._take(Cut.UNSENT):
                return seen.start, Cut.UNSENT
            if answers and seen.is_committed:
                if self._take(Cut.UNANSWERED):
                    return seen.start, Cut.UNANSWERED
                if self._take(Cut.ANSWERED):
                    return len(chunk), Cut.ANSWERED
        return len(chunk), None

    def _take(self, cut: Cut) -> bool:
        if cut not in self._armed:
            return False
        self._armed.remove(cut)
        return True
