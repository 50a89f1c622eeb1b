"""Both ends of HTTP by hand, so that tests can send and answer what no library would.

``RawClient`` talks to a server in octets; ``Endpoint`` answers each connection with a script. Every wait is bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ssl import SSLContext
from types import TracebackType

__all__ = ["Answer", "Endpoint", "RawClient", "eventually", "read_request"]

BOUND_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """One connection. Use as an async context manager."""

    def __init__(self, port: int, host: str = "127.0.0.1", ssl: SSLContext | None = None) -> None:
        self._where = (host, port)
        self._ssl = ssl

    async def __aenter__(self) -> "RawClient":
        host, port = self._where
        name = "localhost" if self._ssl is not None else None
        self.reader, self.writer = await asyncio.open_connection(host, port, ssl=self._ssl, server_hostname=name)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None):
        self.writer.close()

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await asyncio.wait_for(self.writer.drain(), BOUND_S)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next answer; fails when none comes."""
        async with asyncio.timeout(BOUND_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head[:-4].split("\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(": ")
                assert name.lower() not in headers, f"{name} twice"
                headers[name.lower()] = value
            status = int(status_line.split()[1])
            if head_only or status in (100, 204, 304):
                body = b""
            elif headers.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                body = await self.reader.read()
            return Answer(status=status, headers=headers, body=body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body

    async def ask(self, octets: bytes) -> Answer:
        await self.send(octets)
        return await self.answer()

    async def is_closed(self) -> bool:
        """Waits for the other side to close; fails when it sends anything first, or stays."""
        try:
            return await asyncio.wait_for(self.reader.read(1), BOUND_S) == b""
        except ConnectionResetError:
            return True


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fails when it does not come true."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110 - conditions here have no event to wait for
            await asyncio.sleep(0.002)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request with a Content-Length, whole. b"" when the client closes instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Endpoint:
    """A server that plays a script on every connection, or answers 200 to every request when it has none."""

    script: Script | None = None
    ssl: SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    most_open: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> "Endpoint":
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None):
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await eventually(lambda: not self._writers)

    def url(self, path: str = "/dlr") -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.ssl else 'http'}://{shown}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        self.most_open = max(self.most_open, self.open_connections)
        self._writers.add(writer)
        try:
            await (self.script or self._answer_all)(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_connections -= 1
            self._writers.discard(writer)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            self.requests.append(request)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            await writer.drain()
