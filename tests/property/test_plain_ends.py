"""The short way of a receipt writes the rows that the way by all the rules writes (docs/rules.md R26, R41-R46; P4)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvitto.core.ids import message_ids
from kvitto.core.model import Batch, Content, NewBatch, NewMessage, Notify, PartKey
from kvitto.core.receipt import LinkRules
from kvitto.core.status import FINAL, Status
from kvitto.store.api import ReceivedReceipt, SubmitAnswer
from kvitto.store.commits import Scope
from kvitto.store.migrations import upgrade
from kvitto.store.sqlite import SqliteTx
from kvitto.store.verbs import receipts as verb
from kvitto.store.verbs.admission import accept_batches
from kvitto.store.verbs.dispatch import Answers, Claim, claim_messages, record_answers
from tests.conformance.house import build_receipt

NOW = 1_790_000_000_000
ACCOUNT = "01KVT7Q4M8Z2X5B9C3D6F00000"
RULES = LinkRules()
FROM_SMSC = sorted((FINAL - {Status.CANCELLED, Status.ABORTED}) | {Status.DISPATCHED})
TABLES = ("batch", "message", "part", "receipt", "parked_key")


class Sent(NamedTuple):
    """A batch as sent, and how far its messages came."""

    notify: Notify
    url: str | None
    recipients: int
    parts: int
    answers: Sequence[int | None]
    same_id: bool


class Came(NamedTuple):
    """A receipt: whose (batch, message, part), and what it says."""

    of: tuple[int, int, int]
    id_form: str
    status: Status
    err: str | None
    net: tuple[int, int] | None
    done_at: int | None


SENT = st.builds(
    Sent,
    st.sampled_from(list(Notify)),
    st.sampled_from([None, "http://customer.example/cb"]),
    st.integers(1, 3),
    st.sampled_from([1, 1, 1, 2]),
    st.lists(st.sampled_from([0, 0, 0, 0, None, 0x58, 0x45]), min_size=6, max_size=6),
    st.sampled_from([False, False, False, True]),
)
CAME = st.builds(
    Came,
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 2)),
    st.sampled_from(["exact"] * 6 + ["upper", "padded", "unknown"]),
    st.sampled_from([Status.DELIVERED, *FROM_SMSC]),
    st.sampled_from([None, "000", "027"]),
    st.sampled_from([None, None, None, (3, 27)]),
    st.sampled_from([None, NOW - 9_000, NOW + 500, NOW + 90_000_000]),
)


@pytest.fixture(scope="module")
def tx(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "kvitto.db"
    upgrade(f"sqlite:///{path}")
    tx = SqliteTx(str(path), read_only=False)
    names = "id, name, service_plan_id, username, password_hash, callback_secret, disabled, allow_callbacks_to"
    tx._connection.execute(
        f"INSERT INTO account ({names}, allowed_senders, blocked_numbers, timezone, created_at, next_due_at,"
        " final_only, ack, feed, callback_statuses)"
        " VALUES (?, 'a', 'p', 'u', 'h', 's', 0, '[]', '[]', '[]', 'UTC', 0, 0, 0, 'body', 'all', '[]')",
        (ACCOUNT,),
    )
    yield tx
    tx.close()


def plan(number: int, sent: Sent) -> NewBatch:
    batch_id = f"01KVT7Q4M8Z2X5B9C3D6F{number}0000"
    numbers = tuple(f"4670000{number:02}{n:02}" for n in range(sent.recipients))
    batch = Batch(
        id=batch_id,
        account_id=ACCOUNT,
        dialect="sinch",
        sender="Kvitto",
        recipients=numbers,
        content=Content(text="hello"),
        notify=sent.notify,
        callback_url=sent.url,
        client_reference=None,
        created_at=NOW - 5_000,
        modified_at=NOW - 5_000,
        send_at=None,
        expire_at=NOW + 86_400_000,
        cancelled_at=None,
        feedback=False,
        extra={},
    )
    ids = message_ids(batch_id, len(numbers))
    messages = [NewMessage(*pair, sent.parts, None, None) for pair in zip(ids, numbers, strict=True)]
    return NewBatch(batch, messages, "")


def smsc_id(sent: Sequence[Sent], of: tuple[int, int, int]) -> str:
    """An id with letters and leading zeros; SMSCs that give one id twice are met, too."""
    batch, message, part = of
    return "00aB1" if batch < len(sent) and sent[batch].same_id else f"00aB{batch}{message}{part}"


def send(tx: SqliteTx, scope: Scope, sent: Sequence[Sent]) -> None:
    accept_batches(tx, scope, [plan(number, one) for number, one in enumerate(sent)])
    (claimed,) = claim_messages(tx, scope, [Claim("link", "link", 1000, NOW - 4_000)])
    answers = []
    for one in claimed:
        batch, message = int(one.message_id[21]), int(one.message_id[-1]) - 1
        for part in one.todo:
            status = sent[batch].answers[message * 2 + part - 1]
            if status is not None:
                given_id = smsc_id(sent, (batch, message, part)) if status == 0 else ""
                key, temporary = PartKey(one.message_id, part), status == 0x58
                answers.append(SubmitAnswer(key, NOW - 3_000, status, given_id, temporary, NOW + 1_000))
    record_answers(tx, scope, [Answers("link", "link", answers)])


def received(sent: Sequence[Sent], came: Came) -> ReceivedReceipt:
    number = "nobodys" if came.id_form == "unknown" else smsc_id(sent, came.of)
    number = number.upper() if came.id_form == "upper" else f"00{number}" if came.id_form == "padded" else number
    batch, message, _ = came.of
    receipt = build_receipt(
        number, came.status, to=f"4670000{batch:02}{message:02}", err=came.err, net=came.net, done_at=came.done_at
    )
    return ReceivedReceipt("link", "link", NOW, "00aa", receipt, RULES)


def rows_after(tx: SqliteTx, sent: Sequence[Sent], came: Sequence[Came]) -> dict[str, Any]:
    """Everything that the receipts left, numbers of events aside: these may differ between messages."""
    tx.begin()
    try:
        scope = Scope("node", 1_000)
        send(tx, scope, sent)
        results = verb.record_receipts(tx, scope, [[received(sent, one) for one in came]])
        look = tx._connection.execute
        found: dict[str, Any] = {name: look(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in TABLES}
        found["results"] = results
        events = look("SELECT * FROM event ORDER BY message_id, seq").fetchall()
        found["events"] = [row[1:] for row in events]
        of = {
            row[0]: (row[2], sum(1 for other in events if other[2] == row[2] and other[0] < row[0])) for row in events
        }
        told = look("SELECT * FROM callback").fetchall()
        found["callbacks"] = sorted((of.get(row[0], row[2]), *row[1:]) for row in told if row[5] == "message")
        found["batch callbacks"] = sorted(row[1:] for row in told if row[5] != "message")
        found["unread"] = sorted(row[2] for row in look("SELECT * FROM unread").fetchall())
        found["handed over"] = sorted(repr(due._replace(id=0)) for due in scope.handoff)
        return found
    finally:
        tx.rollback()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SENT, min_size=1, max_size=3), st.lists(CAME, min_size=1, max_size=8))
def test_p4_the_short_way_writes_the_same_rows(tx, sent, came):
    shortly = rows_after(tx, sent, came)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb, "find_plain_ends", lambda tx, asked: {})
        assert rows_after(tx, sent, came) == shortly


def test_the_common_receipt_takes_the_short_way(tx, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("this receipt was searched for by all the rules")

    monkeypatch.setattr(verb, "Search", refuse)
    sent = Sent(Notify.FINAL, "http://customer.example/cb", 1, 1, [0] * 6, False)
    found = rows_after(tx, [sent], [Came((0, 0, 1), "exact", Status.DELIVERED, "000", None, NOW)])
    assert [row[7] for row in found["message"]] == ["DELIVERED"]
    assert len(found["callbacks"]) == 1
