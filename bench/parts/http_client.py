"""What one callback costs in the HTTP client alone: a small JSON POST with signature headers, answered 200 at once.

    .venv/bin/python bench/parts/http_client.py [--requests 50000] [--in-flight 64] [--only ours,...]

The endpoint is a process of its own; the cost is the CPU time of this one, user and system. Clients that are not
installed are named as such: ``pip install aiohttp httpx`` into any environment and run this file with its Python to
compare (docs/adr/0003-http-client.md).
"""

import argparse
import asyncio
import importlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import httptools
import uvloop

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

BODY = (
    b'{"at":"2031-03-09T05:06:04.512Z","batch_id":"01KVT7Q4M8Z2X5B9C3D6F0G1HJ","client_reference":"order-118","code":0,'
    b'"operator_status_at":"2031-03-09T05:06:00Z","recipient":"46701740611","status":"Delivered",'
    b'"type":"recipient_delivery_report_sms"}'
)
HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"X-Sinch-Webhook-Signature", b"a6ai84r5Nm7vLNHEEPI/nuAJdo4qZa7AjwRPT2+yHCM="),
    (b"X-Sinch-Webhook-Signature-Algorithm", b"HmacSHA256"),
    (b"X-Sinch-Webhook-Signature-Nonce", b"01KVT7Q9A0N0NCE0000000001B"),
    (b"X-Sinch-Webhook-Signature-Timestamp", b"1930799167"),
]
TEXT_HEADERS = {name.decode(): value.decode() for name, value in HEADERS}


class Sink(asyncio.Protocol):
    """Answers 200 to everything."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: sink\r\nContent-Length: 2\r\n\r\nOK"
        )


def serve_sink(port: int) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
        await asyncio.Event().wait()

    uvloop.run(main())


# ---- the candidates: each posts `requests` times, `in_flight` at once, and returns when all are answered


async def ours(url: str, requests: int, in_flight: int) -> None:
    """The hot path: ``start`` with a callback, no task or future for each post."""
    from kvitto.callbacks.addresses import AddressPolicy
    from kvitto.callbacks.post import CallbackClient, PostRequest, PostResult
    from kvitto.core.clock import SystemClock

    client = CallbackClient(clock=SystemClock())
    policy = AddressPolicy(allow_private=True)
    left, outstanding = requests, requests
    done = asyncio.Event()

    def begin() -> None:
        nonlocal left
        if left:
            left -= 1
            client.start(PostRequest(url, HEADERS, BODY, policy, connections=in_flight), answered)

    def answered(request: PostRequest, result: PostResult) -> None:
        nonlocal outstanding
        assert result.status == 200, result
        outstanding -= 1
        if outstanding == 0:
            done.set()
        begin()

    for _ in range(in_flight):
        begin()
    await done.wait()
    await client.stop()


async def many(requests: int, in_flight: int, post: Callable[[], Awaitable[int | None]]) -> None:
    """As many workers as may be in flight, each posting one after the other."""

    async def work(number: int) -> None:
        for _ in range(requests // in_flight + (number < requests % in_flight)):
            status = await post()
            assert status == 200, status

    await asyncio.gather(*[work(number) for number in range(in_flight)])


async def ours_await(url: str, requests: int, in_flight: int) -> None:
    """The comfortable form: ``await post(...)``."""
    from kvitto.callbacks.addresses import AddressPolicy
    from kvitto.callbacks.post import CallbackClient
    from kvitto.core.clock import SystemClock

    client = CallbackClient(clock=SystemClock())
    policy = AddressPolicy(allow_private=True)

    async def post() -> int | None:
        return (await client.post(url, HEADERS, BODY, policy=policy, connections=in_flight)).status

    await many(requests, in_flight, post)
    await client.stop()


async def aiohttp_client(url: str, requests: int, in_flight: int) -> None:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def post() -> int:
            async with session.post(url, data=BODY, headers=TEXT_HEADERS, allow_redirects=False) as response:
                await response.read()
                return response.status

        await many(requests, in_flight, post)


async def httpx_client(url: str, requests: int, in_flight: int) -> None:
    httpx = importlib.import_module("httpx")  # by name: it is not among the project's packages
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=10) as client:

        async def post() -> int:
            return int((await client.post(url, content=BODY, headers=TEXT_HEADERS)).status_code)

        await many(requests, in_flight, post)


CANDIDATES = {"ours": ours, "ours-await": ours_await, "aiohttp": aiohttp_client, "httpx": httpx_client}


async def wait_for_port(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit("the endpoint does not listen")


async def measure(name: str, port: int, requests: int, in_flight: int) -> tuple[float, float]:
    """Posts a second, and CPU microseconds of this process for each."""
    await wait_for_port(port)
    url = f"http://127.0.0.1:{port}/dlr"
    if name == "httpx":
        requests = min(requests, 2000)  # its cost grows with the requests in flight: enough to see it
    await CANDIDATES[name](url, min(requests, 1000), in_flight)
    began, used = time.perf_counter(), time.process_time()
    await CANDIDATES[name](url, requests, in_flight)
    took_s, used_s = time.perf_counter() - began, time.process_time() - used
    return requests / took_s, used_s / requests * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--only", default=",".join(CANDIDATES))
    parser.add_argument("--port", type=int, default=18_761)
    parser.add_argument("--sink", action="store_true")
    options = parser.parse_args()
    if options.sink:
        serve_sink(options.port)
        return
    sink = subprocess.Popen([sys.executable, __file__, "--sink", "--port", str(options.port)])
    try:
        print(f"{'client':<14}{'posts/s':>12}{'CPU us/post':>14}")
        for name in options.only.split(","):
            if not name.startswith("ours") and importlib.util.find_spec(name) is None:
                print(f"{name:<14}{'not installed':>26}")
                continue
            rate, cost = uvloop.run(measure(name, options.port, options.requests, options.in_flight))
            print(f"{name:<14}{rate:>12,.0f}{cost:>14.1f}", flush=True)
    finally:
        sink.terminate()
        sink.wait()


if __name__ == "__main__":
    main()
