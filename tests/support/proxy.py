"""A TCP proxy that can go silent: connections stay open and nothing passes any more, as behind a dead firewall (R9)."""

import asyncio
import contextlib

from tests.support.server import reserve_port

__all__ = ["Proxy"]


class Proxy:
    """Listens on ``port`` and passes to ``to_port`` of loopback; an async context manager.

    ``silent``: what comes on connections made before is swallowed, without a word to either side. Connections made
    after ``heal`` pass again; those that fell silent stay so.
    """

    def __init__(self, to_port: int) -> None:
        self.port = reserve_port()
        self.connections = 0
        self._to_port = to_port
        self._silent = False
        self._dead: set[int] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def go_silent(self) -> None:
        """Nothing passes on any connection there is, nor on new ones, until ``heal``."""
        self._silent = True

    def heal(self) -> None:
        """New connections pass."""
        self._dead.update(range(self.connections))
        self._silent = False

    async def __aenter__(self) -> "Proxy":
        """Listen."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers |= {writer, back_writer}
        await asyncio.gather(self._pass(number, reader, back_writer), self._pass(number, back_reader, writer))

    async def _pass(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if not self._silent and number not in self._dead:
                    writer.write(data)
                    await writer.drain()
        if not self._silent and number not in self._dead:
            writer.close()
