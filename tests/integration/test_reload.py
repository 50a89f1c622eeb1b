"""Links and routes added, changed and removed in a running server: what stays the same stands, what is wrong is
refused, and nothing that was accepted is left behind."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kvitto.app import App
from kvitto.core.clock import SystemClock
from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Content, Submission
from kvitto.core.status import FINAL, Status
from kvitto.dispatch.link import Link
from kvitto.dispatch.transport import SmppConnection
from kvitto.intake.auth import mint_account
from kvitto.reloading import ReloadReport
from kvitto.settings import load
from kvitto.simulator import Record, Simulator, SimulatorConfig
from tests.support.rig import eventually
from tests.support.server import ServerProcess, reserve_port

SILENT = "999000000050"


@dataclass
class Smsc:
    """A simulator and what it saw."""

    simulator: Simulator
    record: Record

    @property
    def binds(self) -> int:
        return self.simulator.binds


@asynccontextmanager
async def smscs(count: int) -> AsyncIterator[list[Smsc]]:
    made = []
    for _ in range(count):
        record = Record()
        simulator = Simulator(SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=5), SystemClock(), record)
        await simulator.start()
        made.append(Smsc(simulator, record))
    try:
        yield made
    finally:
        for one in made:
            await one.simulator.stop()


def _whole(found: Link) -> bool:
    return found.bound == len(found.binds)


def link(port: int, **more: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "kvitto",
        "password": "kvitto",
        "reconnect_min_s": 0.05,
    } | more


class Running:
    """A server in this process whose configuration a test rewrites."""

    def __init__(self, folder: Path, tree: Mapping[str, Any]) -> None:
        self.file = folder / "kvitto.toml"
        self.fixed = {"server": {"data_dir": str(folder / "data"), "stop_s": 2}, "http": {"port": 0}}
        self.write(tree)
        self.app = App(self.read(), SystemClock(), read_again=self.read)
        self.account: Account

    def write(self, tree: Mapping[str, Any]) -> None:
        lines = []
        for section, table in {**self.fixed, **{k: v for k, v in tree.items() if k not in ("links", "routes")}}.items():
            lines += [f"{section}.{key} = {json.dumps(value)}" for key, value in table.items()]
        for name, table in tree.get("links", {}).items():
            lines += [f"links.{name}.{key} = {json.dumps(value)}" for key, value in table.items()]
        for route in tree.get("routes", ()):
            lines += ["[[routes]]", *[f"{key} = {json.dumps(value)}" for key, value in route.items()]]
        self.file.write_text("\n".join(lines) + "\n")

    def read(self) -> Any:
        return load(config=self.file, environ={})

    async def reload(self, tree: Mapping[str, Any]) -> ReloadReport:
        self.write(tree)
        return await self.app.reload()

    @property
    def dispatcher(self) -> Any:
        return self.app._dispatcher

    def connections(self, name: str) -> list[SmppConnection]:
        return [bind.connection for bind in self.dispatcher.lanes[name].link.binds]

    async def bound(self, *names: str) -> None:
        for name in names:
            await eventually(partial(_whole, self.dispatcher.lanes[name].link))

    async def send(self, *numbers: str) -> str:
        submission = Submission(dialect="sinch", sender="12345", recipients=numbers, content=Content(text="hello"))
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        desk = self.app._desk
        assert desk is not None
        denial = desk.send(
            submission, self.account, self.app._clock.now(), lambda batch, error: done.set_result(error or batch)
        )
        assert denial is None, denial
        desk.worked()
        return str((await done).batch.id)

    async def status(self, batch_id: str, number: str) -> Status:
        view = await self.app._store.fetch_message(  # type: ignore[union-attr]
            self.account.id, batch_id, number, first_final=False, now=self.app._clock.now()
        )
        assert view is not None
        return view.status

    async def final(self, batch_id: str, number: str) -> Status:
        async def ended() -> Status | None:
            status = await self.status(batch_id, number)
            return status if status in FINAL else None

        found = await eventually(ended)
        assert isinstance(found, Status)
        return found


@asynccontextmanager
async def running(folder: Path, tree: Mapping[str, Any]) -> AsyncIterator[Running]:
    server = Running(folder, tree)
    await server.app.start()
    try:
        new, _ = mint_account("acme", IdMaker(SystemClock()), SystemClock().now())
        await server.app._store.create_account(new)  # type: ignore[union-attr]
        server.account = new.account
        yield server
    finally:
        await server.app.stop()


async def test_r13_links_come_and_go_and_the_binds_that_stay_the_same_stand(tmp_path: Path):
    async with smscs(3) as (one, two, three):
        a, b, c = (link(smsc.simulator.port, binds=2) for smsc in (one, two, three))
        async with running(tmp_path, {"links": {"a": a, "b": b}}) as server:
            await server.bound("a", "b")
            before = server.connections("a")
            report = await server.reload({"links": {"a": a, "c": c}})
            assert (report.kept, report.added, report.removed, report.problems) == (("a",), ("c",), ("b",), ())
            await server.bound("a", "c")
            assert server.connections("a") == before
            assert (one.binds, two.binds, three.binds) == (2, 0, 2)
            batch = await server.send("46701234567")
            assert await server.final(batch, "46701234567") is Status.DELIVERED


async def test_pace_and_rules_of_a_link_change_while_its_binds_stand(tmp_path: Path):
    async with smscs(1) as (one,):
        a = link(one.simulator.port)
        async with running(tmp_path, {"links": {"a": a}}) as server:
            await server.bound("a")
            before = server.connections("a")
            changes = {"rate": 7, "window": 3, "binds": 2, "time_zone": "Asia/Tokyo", "intermediate": True}
            report = await server.reload({"links": {"a": a | changes}})
            assert (report.adjusted, report.made_anew) == (("a",), ())
            await server.bound("a")
            assert server.connections("a")[:1] == before
            lane = server.dispatcher.lanes["a"]
            assert [bind.connection.session.window for bind in lane.link.binds] == [3, 3]
            assert lane.link.pacer.pace(server.app._clock.monotonic()) == (7, 0)
            batch = await server.send("46701234567")
            assert await server.final(batch, "46701234567") is Status.DELIVERED
            assert str(lane.link.rules.time_zone) == "Asia/Tokyo"


async def test_other_credentials_make_a_link_anew(tmp_path: Path):
    async with smscs(1) as (one,):
        a = link(one.simulator.port)
        async with running(tmp_path, {"links": {"a": a}}) as server:
            await server.bound("a")
            report = await server.reload({"links": {"a": a | {"system_type": "other"}}})
            assert report.made_anew == ("a",)
            await server.bound("a")
            assert one.binds == 1
            batch = await server.send("46701234567")
            assert await server.final(batch, "46701234567") is Status.DELIVERED


async def test_what_is_queued_for_a_link_that_goes_takes_a_link_that_remains(tmp_path: Path):
    async with smscs(1) as (one,):
        a, dead = link(one.simulator.port), link(reserve_port())
        routes = [{"prefix": "46", "link": "dead"}, {"link": "a"}]
        async with running(tmp_path, {"links": {"a": a, "dead": dead}, "routes": routes}) as server:
            batch = await server.send("46701234567", "46701234568")
            assert await server.status(batch, "46701234567") is Status.QUEUED
            report = await server.reload({"links": {"a": a}, "routes": [{"link": "a"}]})
            assert report.rerouted == 2
            assert await server.final(batch, "46701234567") is Status.DELIVERED
            assert await server.final(batch, "46701234568") is Status.DELIVERED


async def test_a_message_whose_link_went_while_the_server_was_down_finds_another_at_the_start(tmp_path: Path):
    async with smscs(1) as (one,):
        a, dead = link(one.simulator.port), link(reserve_port())
        tree = {"links": {"a": a, "dead": dead}, "routes": [{"link": "dead"}]}
        async with running(tmp_path, tree) as server:
            batch = await server.send("46701234567")
        again = Running(tmp_path, {"links": {"a": a}})
        again.account = server.account
        await again.app.start()
        try:
            assert await again.final(batch, "46701234567") is Status.DELIVERED
        finally:
            await again.app.stop()


async def test_new_messages_go_by_the_new_routes_at_once(tmp_path: Path):
    async with smscs(2) as (one, two):
        links = {"a": link(one.simulator.port), "b": link(two.simulator.port)}
        async with running(tmp_path, {"links": links, "routes": [{"link": "a"}]}) as server:
            await server.final(await server.send("46701234567"), "46701234567")
            await server.reload({"links": links, "routes": [{"link": "a"}, {"prefix": "46", "link": "b"}]})
            await server.final(await server.send("46701234568"), "46701234568")
            assert (one.record.submits, two.record.submits) == ({"46701234567": 1}, {"46701234568": 1})


async def test_r12_what_a_removed_link_got_no_answer_for_is_in_doubt(tmp_path: Path):
    async with smscs(2) as (one, two):
        a, b = link(one.simulator.port), link(two.simulator.port)
        routes = [{"prefix": "999", "link": "b"}, {"link": "a"}]
        async with running(tmp_path, {"links": {"a": a, "b": b}, "routes": routes}) as server:
            await server.bound("b")
            batch = await server.send(SILENT)
            await eventually(lambda: two.record.submits)
            await server.reload({"links": {"a": a}, "routes": [{"link": "a"}]})
            (doubt,) = await server.app._store.list_in_doubt(None)  # type: ignore[union-attr]
            assert (doubt.batch_id, doubt.link) == (batch, "b")
            assert one.record.submits == {}, "nothing is sent again by itself"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"links": {"a": {"host": "127.0.0.1", "window": 0}}}, "links.a.window"),
        ({"links": {"a": {"host": "127.0.0.1", "windows": 5}}}, "links.a.windows"),
        ({"links": {"a": {"host": "127.0.0.1"}}, "routes": [{"link": "z"}]}, "routes.0.link"),
        ({"links": {"a": {"host": "127.0.0.1", "template": "(?P<id>"}}}, "links.a.template"),
        ({"links": {}}, "links"),
    ],
)
async def test_a_wrong_configuration_is_refused_and_the_old_one_goes_on(
    tmp_path: Path, change: dict[str, Any], key: str
):
    async with smscs(1) as (one,), running(tmp_path, {"links": {"a": link(one.simulator.port)}}) as server:
        await server.bound("a")
        before = server.connections("a")
        report = await server.reload(change)
        assert [problem.key for problem in report.problems] == [key]
        assert all(problem.reason for problem in report.problems)
        assert server.connections("a") == before
        batch = await server.send("46701234567")
        assert await server.final(batch, "46701234567") is Status.DELIVERED


async def test_tls_files_that_cannot_be_used_are_refused_before_anything_changes(tmp_path: Path):
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    async with smscs(1) as (one,):
        a = link(one.simulator.port)
        async with running(tmp_path, {"links": {"a": a}}) as server:
            await server.bound("a")
            report = await server.reload({"links": {"b": link(1, tls=True, tls_ca_file=str(broken))}})
            (problem,) = report.problems
            assert (problem.key, problem.value) == ("links.b.tls_ca_file", str(broken))
            assert list(server.dispatcher.lanes) == ["a"]


async def test_what_needs_a_restart_is_named_and_left(tmp_path: Path):
    async with smscs(1) as (one,):
        tree = {"links": {"a": link(one.simulator.port)}}
        async with running(tmp_path, tree) as server:
            report = await server.reload({**tree, "callbacks": {"concurrency_per_endpoint": 3}})
            assert report.needs_restart == ("callbacks.concurrency_per_endpoint",)
            assert report.kept == ("a",)


# --- the command and the signal --------------------------------------------------------------------------------------


def dotted(links: Mapping[str, Mapping[str, Any]]) -> dict[str, object]:
    return {f"links.{name}.{key}": value for name, table in links.items() for key, value in table.items()}


async def test_link_reload_tells_what_came_of_it(tmp_path: Path):
    async with smscs(2) as (one, two):
        a, b = link(one.simulator.port), link(two.simulator.port)
        process = ServerProcess(tmp_path, settings=dotted({"a": a}))
        await asyncio.to_thread(process.start)
        try:
            process.configure(dotted({"a": a, "b": b}))
            report = await asyncio.to_thread(process.run_json, "link", "reload")
            assert (report["ok"], report["kept"], report["added"]) == (True, ["a"], ["b"])
            await eventually(lambda: two.binds == 1)

            process.configure(dotted({"a": a | {"window": 0}}))
            refused = await asyncio.to_thread(process.run_cli, "link", "reload", "--json")
            assert refused.returncode == 2
            assert [problem["key"] for problem in json.loads(refused.stdout)["problems"]] == ["links.a.window"]
            assert '"settings.refused"' in process.log()
            assert "links.a.window" in process.log()
            assert (one.binds, two.binds) == (1, 1)

            listed = await asyncio.to_thread(process.run_cli, "link", "reload")
            assert "links.a.window = 0" in listed.stderr

            process.configure(dotted({"b": b}))
            process.tell(signal.SIGHUP)
            await eventually(lambda: one.binds == 0)
            assert two.binds == 1
        finally:
            process.kill()
        gone = await asyncio.to_thread(process.run_cli, "link", "reload")
        assert gone.returncode == 1
        assert "no server runs" in gone.stderr


@pytest.mark.postgres
async def test_link_reload_finds_the_server_by_its_data_directory_on_postgresql_too(tmp_path: Path, postgres_dsn: str):
    async with smscs(2) as (one, two):
        a, b = link(one.simulator.port), link(two.simulator.port)
        process = ServerProcess(tmp_path, settings=dotted({"a": a}), dsn=postgres_dsn)
        await asyncio.to_thread(process.start)
        try:
            process.configure(dotted({"b": b}))
            report = await asyncio.to_thread(process.run_json, "link", "reload")
            assert (report["ok"], report["added"], report["removed"]) == (True, ["b"], ["a"])
            await eventually(lambda: (one.binds, two.binds) == (0, 1))
        finally:
            process.kill()
