"""``kvitto serve``: the real command on real ports, over real SMPP to its own simulator, with commands beside it."""

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from kvitto.app import DemoKeys
from kvitto.cli.serve import curl_lines, infobip_lines, ninebits_lines
from tests.support.command import Served, kvitto, serving

QUICK = {"KVITTO__SIMULATOR__DELAY_MIN_MS": "1", "KVITTO__SIMULATOR__DELAY_MAX_MS": "5"}


class Caller:
    """One account over HTTP."""

    def __init__(self, server: Served, keys):
        self._base = f"{server.url}/xms/v1/{keys['service_plan_id']}"
        self._token = keys["api_token"]

    def call(self, method, path, body=None):
        """(status, JSON or None)."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as refused:
            text = refused.read()
            return refused.code, json.loads(text) if text else None

    def send(self, *numbers, **fields):
        status, batch = self.call("POST", "/batches", {"from": "Kvitto", "to": numbers, "body": "Hello", **fields})
        assert status == 201, batch
        return batch["id"]

    def statuses(self, batch_id):
        report = self.call("GET", f"/batches/{batch_id}/delivery_report")[1]
        return {one["status"]: one["count"] for one in report["statuses"]}


def until(check, wanted, within_s=10.0):
    """Ask until the answer is the wanted one; the last answer is shown otherwise."""
    limit = time.monotonic() + within_s
    while (seen := check()) != wanted and time.monotonic() < limit:
        time.sleep(0.02)
    assert seen == wanted


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def command(data, monkeypatch):
    return functools.partial(kvitto, data=data, monkeypatch=monkeypatch)


def test_the_demo_delivers_and_a_second_start_keeps_everything(data):
    with serving(data, "--demo", environment=QUICK) as server:
        keys = server.announced["demo"]
        caller = Caller(server, keys)
        batch_id = caller.send("46701740611", "46701740612", "46701740613")
        until(lambda: caller.statuses(batch_id), {"Delivered": 3})
        assert server.stop() == 0
    with serving(data, "--demo") as server:
        assert server.announced["demo"] == keys
        assert Caller(server, keys).statuses(batch_id) == {"Delivered": 3}
        assert server.stop(signal.SIGINT) == 0
    assert '"server.stopped"' in server.log.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_lines_do_what_they_say_when_pasted(data):
    with serving(data, "--demo", environment=QUICK) as server:
        keys = DemoKeys(**server.announced["demo"])
        pasted = "\n".join(curl_lines(server.url, keys))
        done = subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, timeout=30, check=True)
        ninebits = "\n".join(ninebits_lines(server.url, keys))
        fetched = subprocess.run(["bash", "-c", ninebits], capture_output=True, text=True, timeout=30, check=True)
        infobip = "\n".join(infobip_lines(server.url, keys))
        taken = subprocess.run(["bash", "-c", infobip], capture_output=True, text=True, timeout=30, check=True)
    (result,) = json.loads(taken.stdout)["results"]
    assert (result["to"], result["status"]["name"]) == ("46701740611", "DELIVERED_TO_HANDSET")
    (shown,) = json.loads(fetched.stdout)["data"]
    assert (shown["msisdn"], shown["status"], shown["dlvrd"]) == ("46701740611", "Delivered", "001")
    report, recipient = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert report["total_message_count"] == 3
    assert [(one["status"], one["count"]) for one in report["statuses"]] == [("Delivered", 3)]
    assert (recipient["recipient"], recipient["status"]) == ("46701740611", "Delivered")


def test_commands_beside_a_running_server(data, command):
    with serving(data, environment=QUICK) as server:
        keys = command("account", "create", "shop", "--json").json
        caller = Caller(server, keys)
        assert caller.call("GET", "/batches")[0] == 200, "an account made meanwhile is known at once"

        batch = command("send", "--account", "shop", "--from", "Kvitto", "--to", "46701740611", "Hi", "--json").json
        watched = command("report", batch["batch_ids"][0], "--watch", "--json").json
        assert watched["counts"][0]["status"] == "DELIVERED"

        kinds = [one["kind"] for one in command("trace", "46701740611", "--json").json]
        assert kinds.index("admission") < kinds.index("submit") < kinds.index("receipt")
        assert kinds[-1] == "status"

        command("account", "disable", "shop")
        until(lambda: caller.call("GET", "/batches")[0], 403, within_s=3)
        command("account", "enable", "shop")
        until(lambda: caller.call("GET", "/batches")[0], 200, within_s=3)
        token = command("account", "rotate-token", "shop", "--json").json["api_token"]
        until(lambda: caller.call("GET", "/batches")[0], 401, within_s=3)
        assert Caller(server, keys | {"api_token": token}).call("GET", "/batches")[0] == 200


def test_r12_a_part_in_doubt_is_listed_and_ended_by_the_operator(data, command):
    keys = command("account", "create", "shop", "--json").json
    with serving(data, environment=QUICK) as server:
        caller = Caller(server, keys)
        batch_id = caller.send("999123456751")  # the simulator closes the connection instead of answering

        def doubted():
            return command("message", "in-doubt", "list", "--json").json

        until(lambda: len(doubted()), 1)
        part = doubted()[0]
        assert (part["batch_id"], part["part"], part["recipient"]) == (batch_id, 1, "999123456751")
        assert (part["account"], part["link"]) == ("shop", "simulator")
        assert caller.statuses(batch_id) == {"Queued": 1}

        assert command("message", "in-doubt", "resend", part["message_id"], "--json").json == [part]
        until(lambda: [one["written_at"] > part["written_at"] for one in doubted()], [True])

        assert len(command("message", "in-doubt", "end", "--link", "simulator", "--json").json) == 1
        assert doubted() == []
        assert caller.statuses(batch_id) == {"Unknown": 1}


def test_two_servers_do_not_share_a_data_directory(data):
    with serving(data):
        second = subprocess.run(
            [sys.executable, "-m", "kvitto", "serve", "--port", "0", "--data", str(data)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert second.returncode == 1
    assert "another server" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_is_said_so(data):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        refused = subprocess.run(
            [sys.executable, "-m", "kvitto", "serve", "--port", str(taken.getsockname()[1]), "--data", str(data)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "cannot listen" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_tls_files_that_are_none_stop_the_start(data, tmp_path):
    for name in ("TLS_CERTIFICATE", "TLS_KEY"):
        (tmp_path / name).write_text("nonsense")
    refused = subprocess.run(
        [sys.executable, "-m", "kvitto", "serve", "--port", "0", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {f"KVITTO__HTTP__{name}": str(tmp_path / name) for name in ("TLS_CERTIFICATE", "TLS_KEY")},
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "http.tls_certificate" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_wrong_table_of_networks_stops_the_start_as_a_wrong_setting_does(data, tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("prefix,mcc,mnc,network,country\n4670,240,99,Own,SE\n4671,24,99,Own,SE\n")
    refused = subprocess.run(
        [sys.executable, "-m", "kvitto", "serve", "--port", "0", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"KVITTO__NUMBERING__FILE": str(path)},
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    where = f'kvitto: numbering.file = "{path}" (env KVITTO__NUMBERING__FILE): line 3: '
    assert refused.stderr == f'{where}mcc = "24": must have 3 digits\n'
    assert not data.exists(), "nothing was begun"


def test_refusals_that_no_handler_sees_are_in_the_dialects_words(data, command):
    keys = command("account", "create", "shop", "--json").json
    with serving(data, environment={"KVITTO__HTTP__BODY_LIMIT_BYTES": "1000"}) as server:
        caller = Caller(server, keys)
        status, error = caller.call("POST", "/batches", {"body": "x" * 2000})
        assert status == 413
        assert set(error) == {"code", "text"}
        assert caller.call("GET", "/nothing") == (404, None)
        assert caller.call("DELETE", "/batches") == (405, None)
        assert Caller(server, keys | {"api_token": "x"}).call("GET", "/nothing") == (401, None)


def test_health_and_documents_need_no_account(data):
    with serving(data) as server:
        for path, kind in (
            ("/livez", "application/json"),
            ("/readyz", "application/json"),
            ("/docs", "text/html; charset=utf-8"),
            ("/openapi/sinch.json", "application/json"),
        ):
            with urllib.request.urlopen(server.url + path, timeout=10) as answer:
                assert (answer.status, answer.headers["Content-Type"]) == (200, kind)


def test_p22_the_log_has_no_number_no_text_and_no_secret(data):
    with serving(data, "--demo", environment=QUICK | {"KVITTO__LOG__LEVEL": "debug"}) as server:
        keys = server.announced["demo"]
        caller = Caller(server, keys)
        batch_id = caller.send("46701740611", "999123456720", body="canary in a coal mine")
        until(lambda: sum(caller.statuses(batch_id).values()) and "Queued" not in caller.statuses(batch_id), True)
        assert caller.call("POST", "/batches", {"to": ["46701740611"], "body": 7})[0] == 400
        server.stop()
    log = server.log.read_text()
    for canary in ("46701740611", "999123456720", "canary", keys["api_token"], keys["password"]):
        assert canary not in log
    assert keys["callback_secret"] not in log


def test_a_path_prefix_is_part_of_the_address(data):
    with serving(data, "--demo", environment={"KVITTO__HTTP__PATH_PREFIX": "/sms"}) as server:
        assert server.url.endswith("/sms")
        assert Caller(server, server.announced["demo"]).call("GET", "/batches")[0] == 200


def test_the_same_over_postgresql(data, command, postgres_dsn, monkeypatch):
    monkeypatch.setenv("KVITTO__STORE__URL", postgres_dsn)
    keys = command("account", "create", "shop", "--json").json
    with serving(data, environment=QUICK | {"KVITTO__STORE__URL": postgres_dsn}) as server:
        caller = Caller(server, keys)
        batch_id = caller.send("46701740611", "999123456710")
        until(lambda: caller.statuses(batch_id), {"Delivered": 1, "Failed": 1})
        batch = command("send", "--account", "shop", "--from", "Kvitto", "--to", "46701740612", "Hi", "--json").json
        watched = command("report", batch["batch_ids"][0], "--watch", "--json").json
        assert watched["counts"][0]["status"] == "DELIVERED"
        assert server.stop() == 0
    assert not (data / "kvitto.db").exists()
