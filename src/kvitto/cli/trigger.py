"""``kvitto trigger``: have the simulator make an outcome, and follow the callbacks that come of it.

The message goes the whole way: admitted as any other, sent to a magic number of the simulator (docs/simulator.md),
receipted, and told in a dialect's words. Next: ``kvitto.simulator.numbers``, ``kvitto.cli.callback``.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import msgspec
import typer

from kvitto.app import dialects_of, route_rules
from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    Exit,
    JsonOption,
    books,
    find_account,
    iso,
    print_json,
    print_rows,
    read_settings,
    run,
    say,
)
from kvitto.core.errors import BadInput, Refused
from kvitto.core.ids import IdMaker, chance
from kvitto.core.model import Account, Attempt, CallbackState, Content, NewBatch, Notify, Submission
from kvitto.core.operations import Send
from kvitto.core.record import CallbackFilter, CallbackView
from kvitto.core.relay import RELAY_URL
from kvitto.core.status import FINAL
from kvitto.intake.admit import Denial
from kvitto.intake.api import views
from kvitto.intake.desk import Desk, told_by
from kvitto.settings import Settings
from kvitto.store.api import Store

__all__ = ["OUTCOMES", "trigger"]

SENDER: Final = "Kvitto"
LOOK_S: Final = 0.2
SETTLE_LOOKS: Final = 5
"""After the last callback is done it is looked so many times more: another may be on its way."""


class Outcome(NamedTuple):
    """``number``: the magic number's last two digits; ``expect``: what to expect, in words."""

    number: str
    expect: str


OUTCOMES: Final[Mapping[str, Outcome]] = {
    "delivered": Outcome("01", "a final callback that says delivered"),
    "failed": Outcome("10", "a final callback that says failed, with the operator's error 27"),
    "expired": Outcome("14", "a final callback that says expired, with the operator's error 32"),
    "late": Outcome("02", "nothing final for 4 s, then a callback that says delivered"),
    "duplicate": Outcome("04", "one final callback, although the SMSC sends its receipt three times"),
}
"""Beside each of them: callbacks for what happens on the way, where the dialect tells that."""


DIALECTS: Final = ("sinch", "infobip", "ninebits")


def trigger(
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help=f"{', '.join(OUTCOMES)}.")],
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="The account that sends.")],
    dialect: Annotated[str, typer.Option("--dialect", metavar="NAME", help=f"{', '.join(DIALECTS)}.")] = "sinch",
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Where to call back; the account's URL if not.")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", metavar="S", min=0, max=3600, help="Follow for so long.")] = 30.0,
    anyway: Annotated[
        bool, typer.Option("--anyway", metavar="", help="Although links are configured: they lead to a simulator.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make the simulator deliver, fail, expire, be late or repeat itself, and follow the callbacks."""
    if outcome not in OUTCOMES:
        raise BadInput("OUTCOME", f"{outcome!r}: wanted {', '.join(OUTCOMES)}")
    if dialect not in DIALECTS:
        raise BadInput("--dialect", f"{dialect!r}: wanted {', '.join(DIALECTS)}")
    settings = read_settings(config, data)
    if settings.links and not anyway:
        raise Refused(
            "links", "links are configured: this would send a real SMS to a number of nobody; --anyway if they are not"
        )
    followed = run(_trigger(settings, account, dialect, outcome, url, wait, as_json))
    if as_json:
        print_json([msgspec.to_builtins(views.callback_detail_out(view, attempts)) for view, attempts in followed])
    else:
        _show(followed)
    if not followed or any(view.state is not CallbackState.DONE for view, _ in followed):
        raise typer.Exit(Exit.REFUSED)


_Followed = list[tuple[CallbackView, list[Attempt]]]


async def _trigger(
    settings: Settings, name: str, dialect: str, outcome: str, url: str | None, wait_s: float, quiet: bool
) -> _Followed:
    async with books(settings) as store:
        account = await find_account(store, name)
        number = f"999{int(chance() * 10**7):07d}{OUTCOMES[outcome].number}"
        new = await _send(settings, store, account, dialect, number, url)
        if not quiet:
            say(f"Message {new.messages[0].id} to {number}. Expect {OUTCOMES[outcome].expect}.\n")
        return await _follow(store, account, new, wait_s)


async def _send(
    settings: Settings, store: Store, account: Account, dialect: str, number: str, url: str | None
) -> NewBatch:
    """Through the same admission as HTTP, every change to be told in this dialect's words."""
    if url is None and account.callback_url is None:
        advice = f"kvitto account set {account.name} callback_url={RELAY_URL}, and kvitto listen"
        raise Refused("no_callback_url", f"the account has no callback_url: give --url, or {advice}")
    dialects = {one.name: one for one in dialects_of(settings)}
    desk = Desk(store, IdMaker(CLOCK), route_for=route_rules(settings), notify_of=told_by(dialects))
    submission = Submission(
        dialect=dialect,
        sender=account.default_from or SENDER,
        recipients=(number,),
        content=Content(text="trigger"),
        notify=Notify.CHANGES,
        callback_url=url or account.callback_url,
    )
    result = await desk.perform(Send(submission=submission), account, CLOCK.now())
    if isinstance(result, Denial):
        raise Refused(result.problem.value, result.text or result.problem.value)
    assert isinstance(result, NewBatch)
    return result


async def _follow(store: Store, account: Account, new: NewBatch, wait_s: float) -> _Followed:
    """Look until the message has ended and everything about it is told, or given up, or the time is over."""
    message = new.messages[0]
    until_s, quiet_looks = CLOCK.monotonic() + wait_s, 0
    wanted = CallbackFilter(account_id=account.id, message_id=message.id)
    while True:
        page = await store.list_callbacks(wanted, 100)
        view = await store.fetch_message(
            account.id, new.batch.id, message.recipient, first_final=False, now=CLOCK.now()
        )
        open_ = [one for one in page.callbacks if one.state is CallbackState.PENDING]
        over = view is not None and view.status in FINAL and bool(page.callbacks) and not open_
        quiet_looks = quiet_looks + 1 if over else 0
        if quiet_looks > SETTLE_LOOKS or CLOCK.monotonic() >= until_s:
            break
        await asyncio.sleep(LOOK_S)
    found = [await store.fetch_callback(account.id, one.id) for one in reversed(page.callbacks)]
    return [one for one in found if one is not None]


def _show(followed: _Followed) -> None:
    if not followed:
        say("No callback was made. Is the server running?")
        return
    rows = [
        (
            views.callback_id(view.id, view.created_at),
            view.status,
            view.state.value,
            number,
            iso(attempt.at),
            attempt.status_code,
            attempt.elapsed_ms,
            attempt.error,
        )
        for view, attempts in followed
        for number, attempt in (list(enumerate(attempts, 1)) or [(0, _NEVER)])
    ]
    print_rows(("callback", "tells", "state", "attempt", "at", "answer", "ms", "error"), rows)
    for view, _ in followed:
        if view.next_attempt_at is not None:
            call_id, at = views.callback_id(view.id, view.created_at), iso(view.next_attempt_at)
            say(f"{call_id} is tried again at {at}; kvitto callback show tells more.")


_NEVER: Final = Attempt(0, None, "not posted yet", 0)
