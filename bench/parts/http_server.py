"""What one request costs in the HTTP server alone: a small JSON POST, kept-alive connections, a fixed 201.

    .venv/bin/python bench/parts/http_server.py [--requests 100000] [--connections 16] [--only ours,...]

Each candidate runs as a process of its own; the load runs here. Candidates that are not installed are named as such:
``pip install uvicorn granian aiohttp`` into any environment and run this file with its Python to compare
(docs/adr/0002-http-server.md). CPU time is the candidate's own, user and system, from /proc.
"""

import argparse
import asyncio
import importlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import httptools
import uvloop

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

BODY = (
    b'{"from":"46701740605","to":["46701740611"],"body":"Your parcel is here","delivery_report":"per_recipient_final",'
    b'"callback_url":"http://127.0.0.1:9000/dlr","client_reference":"order-118"}'
)
REQUEST = (
    b"POST /xms/v1/plan1/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    b"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY
ANSWER = b'{"id":"01KVT7Q4M8Z2X5B9C3D6F0G1HJ","to":["46701740611"],"from":"46701740605","canceled":false}' + b" " * 160
END_OF_HEAD = b"\r\n\r\n"


# ---- the candidates


def serve_ours(port: int, kind: str) -> None:
    from kvitto.core.clock import SystemClock
    from kvitto.intake.http import Reply, Request, Response, Server
    from kvitto.intake.routing import Router

    waiting: list[tuple[Reply | asyncio.Future[Response], Response]] = []

    def release() -> None:
        for reply, response in waiting:
            if isinstance(reply, Reply):
                reply.send(response)
            else:
                reply.set_result(response)
        waiting.clear()

    def direct(request: Request, service_plan_id: str = "") -> Response:
        return Response(201, ANSWER, "application/json")

    def later(request: Request, service_plan_id: str = "") -> Reply | asyncio.Future[Response]:
        # As a grouped commit does it: all that wait are answered together, a turn of the loop later.
        loop = asyncio.get_running_loop()
        if not waiting:
            loop.call_soon(release)
        reply = loop.create_future() if kind == "future" else Reply()
        waiting.append((reply, Response(201, ANSWER, "application/json")))
        return reply

    async def task(request: Request, service_plan_id: str = "") -> Response:
        return direct(request)

    router = Router()
    chosen = {"direct": direct, "router": direct, "reply": later, "future": later, "task": task}[kind]
    router.add("POST", "/xms/v1/{service_plan_id}/batches", chosen)

    async def main() -> None:
        server = Server(direct if kind == "direct" else router, "127.0.0.1", port, clock=SystemClock())
        await server.start()
        await asyncio.Event().wait()

    uvloop.run(main())


class Bare(asyncio.Protocol):
    """The floor: the same parser with no bounds, no order, no time-outs, no request object."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.transport.write(
            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(ANSWER), ANSWER)
        )


def serve_bare(port: int) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
        await asyncio.Event().wait()

    uvloop.run(main())


def serve_uvicorn(port: int) -> None:
    uvicorn = importlib.import_module("uvicorn")  # by name: these two are not among the project's packages

    async def app(scope, receive, send):
        if scope["type"] == "http":
            while (await receive())["more_body"]:
                pass
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
            await send({"type": "http.response.start", "status": 201, "headers": headers})
            await send({"type": "http.response.body", "body": ANSWER})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", loop="uvloop", http="httptools", lifespan="off")


class GranianApp:
    async def __rsgi__(self, scope, protocol):
        await protocol()
        protocol.response_bytes(201, [("content-type", "application/json")], ANSWER)


granian_app = GranianApp()


def serve_granian(port: int) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    granian = importlib.import_module("granian")
    rsgi = importlib.import_module("granian.constants").Interfaces.RSGI
    granian.Granian("http_server:granian_app", address="127.0.0.1", port=port, interface=rsgi, workers=1).serve()


def serve_aiohttp(port: int) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=201, body=ANSWER, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/xms/v1/{service_plan_id}/batches", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    uvloop.run(main())


CANDIDATES = {
    "bare": serve_bare,
    "ours": lambda port: serve_ours(port, "direct"),
    "ours-router": lambda port: serve_ours(port, "router"),
    "ours-reply": lambda port: serve_ours(port, "reply"),
    "ours-future": lambda port: serve_ours(port, "future"),
    "ours-task": lambda port: serve_ours(port, "task"),
    "granian": serve_granian,
    "uvicorn": serve_uvicorn,
    "aiohttp": serve_aiohttp,
}


# ---- the load


class Client(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        if self.load.left > 0:
            self.load.left -= 1
            self.transport.write(REQUEST)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(END_OF_HEAD)
        if found and len(body) >= len(ANSWER):
            assert head.startswith(b"HTTP/1.1 201"), head
            self.buffer = b""
            self.load.answered()
            self.send()


class Load:
    def __init__(self, requests: int) -> None:
        self.left = self.outstanding = requests
        self.done = asyncio.Event()

    def answered(self) -> None:
        self.outstanding -= 1
        if self.outstanding == 0:
            self.done.set()


async def drive(port: int, requests: int, connections: int) -> float:
    load = Load(requests)
    began = time.perf_counter()
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: Client(load), "127.0.0.1", port)
    await asyncio.wait_for(load.done.wait(), 120)
    return time.perf_counter() - began


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    total = ticks / os.sysconf("SC_CLK_TCK")
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        total += cpu_s(int(child))
    return total


async def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.poll() is not None:
                raise SystemExit(f"the server ended with {process.returncode}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit("the server does not listen")


async def measure(name: str, port: int, requests: int, connections: int) -> tuple[float, float]:
    """Requests a second, and CPU microseconds of the server for each."""
    process = subprocess.Popen([sys.executable, __file__, "--serve", name, "--port", str(port)])
    try:
        await wait_for_port(port, process)
        await drive(port, max(1000, requests // 10), connections)
        before = cpu_s(process.pid)
        took_s = await drive(port, requests, connections)
        used_s = cpu_s(process.pid) - before
    finally:
        process.terminate()
        process.wait()
    return requests / took_s, used_s / requests * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default=",".join(CANDIDATES))
    parser.add_argument("--serve")
    parser.add_argument("--port", type=int, default=18_731)
    options = parser.parse_args()
    if options.serve:
        CANDIDATES[options.serve](options.port)
        return
    print(f"{'server':<14}{'requests/s':>12}{'CPU us/request':>16}")
    for number, name in enumerate(options.only.split(",")):
        if not name.startswith(("ours", "bare")) and importlib.util.find_spec(name) is None:
            print(f"{name:<14}{'not installed':>28}")
            continue
        rate, cost = uvloop.run(measure(name, options.port + number, options.requests, options.connections))
        print(f"{name:<14}{rate:>12,.0f}{cost:>16.1f}", flush=True)


if __name__ == "__main__":
    main()
