"""Sending a body that is not known whole: piece by piece, no faster than the client takes it.

Belongs to ``intake.connection``, which decides when it is this answer's turn.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

__all__ = ["send_stream"]


async def send_stream(
    transport: asyncio.Transport,
    until_writable: Callable[[], "asyncio.Future[None] | None"],
    stream: AsyncIterator[bytes],
    *,
    chunked: bool,
) -> None:
    """Send all pieces, as HTTP/1.1 chunks or bare. ``until_writable()``: what to wait for before the next piece.

    Raises: whatever the stream raises; then the body is not ended, so that the client can tell.
    """
    async for piece in stream:
        waiting = until_writable()
        if waiting is not None:
            await asyncio.shield(waiting)
        if piece:
            transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        transport.write(b"0\r\n\r\n")
