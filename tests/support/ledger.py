"""The ledger: a client that posts batches and writes down, with fsync, every id that it got a 2xx for.

What stands in the ledger was promised by the server (P1). A request that was cut off by a kill promises nothing: the
server may have stored it or not, but must not send it twice either; the judge finds it in the server's own list. Every
number is used once in a run, so that the SMSC's record can be compared number by number.
"""

import asyncio
import contextlib
import json
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from kvitto.core.text import count_parts
from tests.support.server import AccountKeys

__all__ = ["Answered", "HttpClient", "Ledger", "LedgerEntry", "LoadPlan"]

FIRST_NUMBER = 46_730_000_000
REQUEST_S = 10.0
SHORT_TEXT = "Your parcel is here"
LONG_TEXTS = ("Your parcel is here. " * 12, "Your parcel is here. " * 20, "Ваша посылка здесь. " * 5)
"""Two and three parts of the GSM alphabet, two of UCS-2."""
SCHEDULED_MS = (300, 2_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One acknowledged batch. ``report``: what it asked for (docs/dialects/sinch.md 10)."""

    batch_id: str
    recipients: tuple[str, ...]
    report: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What is posted: over how many connections, how many recipients at most, with a pause after each answer.

    Without more said: short texts, to be sent at once.
    """

    connections: int = 8
    recipients_max: int = 6
    reports: tuple[str, ...] = ("per_recipient_final", "per_recipient_final", "full")
    pause_s: float = 0.0
    long_share: float = 0.0
    """Of batches whose text takes two parts or more."""
    scheduled_share: float = 0.0
    """Of batches with a ``send_at``, up to ``SCHEDULED_MS`` ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One HTTP answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class HttpClient:
    """One kept-alive connection to the server; a lost one is made anew for the next request."""

    def __init__(self, port: int, keys: AccountKeys) -> None:
        self._port, self._plan, self._token = port, keys.service_plan_id, keys.api_token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: object = None) -> Answered:
        """Ask below ``/xms/v1/PLAN``. Raises: ConnectionError when it is lost or late: its fate is unknown then."""
        octets = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} /xms/v1/{self._plan}{path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(octets)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(REQUEST_S):
                return await self._exchange(head.encode() + octets)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise ConnectionError(str(error) or type(error).__name__) from None

    async def _exchange(self, octets: bytes) -> Answered:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._streams
        writer.write(octets)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
        answered = Answered(status=int(head[9:12]), body=await reader.readexactly(length))
        if "\r\nconnection: close" in head:
            self.close()
        return answered

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Ledger:
    """Posts in a thread with a loop of its own, from ``start`` to ``stop``; ``pause`` and ``resume`` in between."""

    def __init__(
        self, path: Path, port: int, keys: AccountKeys, callback_url: str, plan: LoadPlan | None = None, seed: int = 1
    ) -> None:
        """``path``: the ledger's file, one JSON object a line."""
        self.path = path
        self.asked = 0
        """Messages posted, acknowledged or not."""
        self.refused: dict[int, int] = {}
        """HTTP status -> how many requests were answered with it instead of 201."""
        self.cut = 0
        """Requests whose connection was lost."""
        self.parts: dict[str, int] = {}
        """Recipient -> submit_sm that its text takes, for every number posted, acknowledged or not."""
        self._acknowledged = 0
        self._port, self._keys, self._callback_url = port, keys, callback_url
        self._plan = plan or LoadPlan()
        self._random = random.Random(seed)
        self._numbers = map(str, count(FIRST_NUMBER + seed * 1_000_000))
        self._loop = asyncio.new_event_loop()
        self._go = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._work: asyncio.Task[None] | None = None
        self._errors: list[BaseException] = []

    @property
    def acknowledged(self) -> int:
        """Messages (recipients) in the ledger: written and fsynced."""
        return self._acknowledged

    def entries(self) -> list[LedgerEntry]:
        """What the file says."""
        return list(self._read())

    def _read(self) -> Iterator[LedgerEntry]:
        with contextlib.suppress(FileNotFoundError), self.path.open() as lines:
            for line in lines:
                fields = json.loads(line)
                yield LedgerEntry(batch_id=fields["id"], recipients=tuple(fields["to"]), report=fields["report"])

    # ---- life

    def start(self) -> "Ledger":
        """Begin to post."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()
        self.resume()
        return self

    def pause(self) -> None:
        """Post nothing new; what is on its way is still awaited."""
        self._loop.call_soon_threadsafe(self._go.clear)

    def resume(self) -> None:
        """Post on."""
        self._loop.call_soon_threadsafe(self._go.set)

    def stop(self) -> None:
        """Stop at once; requests on their way count as asked, not as acknowledged. Raises: what went wrong within."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        work = self._work
        if work is not None:
            self._loop.call_soon_threadsafe(work.cancel)
        thread.join(30)
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> "Ledger":
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    # ---- within

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._post_all())
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._loop.close()

    async def _post_all(self) -> None:
        self._work = asyncio.current_task()
        with self.path.open("ab", buffering=0) as file, contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                for _ in range(self._plan.connections):
                    group.create_task(self._post_one_after_the_other(file.fileno()))

    async def _post_one_after_the_other(self, file: int) -> None:
        client = HttpClient(self._port, self._keys)
        try:
            while True:
                await self._go.wait()
                if not await self._post(client, file):
                    await asyncio.sleep(0.05)
                elif self._plan.pause_s:
                    await asyncio.sleep(self._plan.pause_s)
        finally:
            client.close()

    async def _post(self, client: HttpClient, file: int) -> bool:
        """Post one batch; False if it was not taken."""
        recipients = [next(self._numbers) for _ in range(self._random.randint(1, self._plan.recipients_max))]
        report = self._random.choice(self._plan.reports)
        text = self._text()
        batch = {"from": "Kvitto", "to": recipients, "body": text, "delivery_report": report, **self._schedule()}
        self.asked += len(recipients)
        self.parts.update(dict.fromkeys(recipients, count_parts(text)))
        try:
            answered = await client.request("POST", "/batches", {**batch, "callback_url": self._callback_url})
        except ConnectionError:
            self.cut += 1
            return False
        if answered.status != 201:
            self.refused[answered.status] = self.refused.get(answered.status, 0) + 1
            return False
        line = json.dumps({"id": answered.json["id"], "to": recipients, "report": report}) + "\n"
        os.write(file, line.encode())
        os.fdatasync(file)
        self._acknowledged += len(recipients)
        return True

    def _text(self) -> str:
        long = self._plan.long_share and self._random.random() < self._plan.long_share
        return self._random.choice(LONG_TEXTS) if long else SHORT_TEXT

    def _schedule(self) -> dict[str, str]:
        if not self._plan.scheduled_share or self._random.random() >= self._plan.scheduled_share:
            return {}
        send_at = datetime.now(UTC) + timedelta(milliseconds=self._random.randint(*SCHEDULED_MS))
        return {"send_at": send_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
