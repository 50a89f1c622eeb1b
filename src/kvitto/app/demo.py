"""The demo's account: made at the first start, its keys the same at every later one.

Must not know that a server runs around it. Next: ``cli.serve``, which prints the keys.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from kvitto.core.errors import Refused
from kvitto.core.ids import IdMaker
from kvitto.intake.auth import hash_secret, mint_account
from kvitto.settings import Settings
from kvitto.store import Store
from kvitto.telemetry import get_logger

__all__ = ["DemoKeys", "demo_account"]

DEMO_FILE: Final = "demo.json"
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")


class DemoKeys(NamedTuple):
    """What the demo prints of its account, at every start."""

    account: str
    service_plan_id: str
    api_token: str
    username: str
    password: str
    callback_secret: str


async def demo_account(store: Store, settings: Settings, ids: IdMaker, now: int) -> DemoKeys:
    """Return the demo account's keys: those of the first start, else new ones for an account made now.

    The keys are kept in a file of their owner's alone, since the store has only their hashes. Raises: Refused when an
    account of that name is there whose keys are not.
    """
    path = settings.server.data_dir / DEMO_FILE
    kept = _read_demo_keys(path)
    if kept is not None and await store.find_account(token_hash=hash_secret(kept.api_token)) is not None:
        return kept
    name = settings.demo.account
    if await store.find_account(name=name) is not None:
        raise Refused("demo_account", f"an account {name} exists, but {path} does not have its keys: set demo.account")
    new, secrets = mint_account(name, ids, now, allow_callbacks_to=LOOPBACK)
    keys = DemoKeys(name, *secrets)
    _write_demo_keys(path, keys)
    await store.create_account(new)
    get_logger().info("demo.account", account=name)
    return keys


def _read_demo_keys(path: Path) -> DemoKeys | None:
    with suppress(OSError, ValueError, TypeError):
        return DemoKeys(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _write_demo_keys(path: Path, keys: DemoKeys) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(keys._asdict(), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
