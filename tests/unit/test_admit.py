"""Admission: from a submission to the batch and messages that the store is to keep, or to a denial."""

from kvitto.core.ids import batch_of
from kvitto.core.model import Account, Content, ContentKind, NewBatch, Notify, Submission
from kvitto.core.operations import DryRunRecipient, DryRunResult
from kvitto.core.status import Reason
from kvitto.dialects.base import Problem
from kvitto.intake.admit import Denial, plan, preview

NOW = 1_773_065_100_000
DAY_MS = 86_400_000
BATCH = "01KVT7Q4M8Z2X5B9C3D6F00000"
LONG = "x" * 161


def account(**settings):
    return Account(id="acc", name="shop", service_plan_id="plan", username="shop-1", **settings)


def submission(*recipients, text="Parcel", sender="Kvitto", **fields):
    content = fields.pop("content", None) or Content(text=text, **fields.pop("with_content", {}))
    return Submission(
        dialect="sinch", sender=sender, recipients=recipients or ("46701740611",), content=content, **fields
    )


def admitted(sub, acc=None, **options) -> NewBatch:
    planned = plan(sub, acc or account(), NOW, BATCH, **options)
    assert isinstance(planned, NewBatch), planned
    return planned


def denied(sub, acc=None) -> Denial:
    planned = plan(sub, acc or account(), NOW, BATCH)
    assert isinstance(planned, Denial), planned
    return planned


def test_a_batch_keeps_what_was_asked_and_when():
    sub = submission("46701740611", "46701740612", client_reference="order-118", callback_url="https://shop.example/")
    batch = admitted(sub).batch
    assert (batch.id, batch.account_id, batch.dialect) == (BATCH, "acc", "sinch")
    assert batch.recipients == ("46701740611", "46701740612")
    assert batch.created_at == batch.modified_at == NOW
    assert (batch.client_reference, batch.callback_url) == ("order-118", "https://shop.example/")
    assert batch.cancelled_at is None


def test_messages_are_numbered_from_one_in_the_order_of_recipients():
    messages = admitted(submission("46701740611", "46701740612", "46701740613")).messages
    assert [message.recipient for message in messages] == ["46701740611", "46701740612", "46701740613"]
    assert [message.id[-4:] for message in messages] == ["0001", "0002", "0003"]
    assert {batch_of(message.id) for message in messages} == {BATCH}


def test_a_text_that_is_the_batchs_own_is_not_stored_again():
    assert admitted(submission()).messages[0].text is None


# --- sender and callback URL


def test_the_accounts_default_sender_fills_in():
    assert admitted(submission(sender=None), account(default_from="Shop")).batch.sender == "Shop"


def test_no_sender_at_all_is_denied():
    assert denied(submission(sender=None)).problem is Problem.NO_SENDER


def test_a_sender_outside_the_allowed_ones_is_denied():
    acc = account(allowed_senders=("Shop", "46701740605"))
    assert denied(submission(sender="Other"), acc).problem is Problem.SENDER_NOT_ALLOWED
    assert admitted(submission(sender="46701740605"), acc).batch.sender == "46701740605"


def test_a_callback_needs_a_url_of_batch_or_account():
    wanted = submission(notify=Notify.FINAL)
    assert denied(wanted).problem is Problem.NO_CALLBACK_URL
    assert admitted(wanted, account(callback_url="https://shop.example/")).batch.callback_url is None
    assert admitted(submission(notify=Notify.FINAL, callback_url="https://a.example/"))


# --- times


def test_validity_is_the_dialects_default_from_now():
    assert admitted(submission()).batch.expire_at == NOW + 3 * DAY_MS


def test_validity_counts_from_send_at():
    batch = admitted(submission(send_at=NOW + DAY_MS)).batch
    assert (batch.send_at, batch.expire_at) == (NOW + DAY_MS, NOW + 4 * DAY_MS)


def test_a_send_at_that_has_passed_is_none():
    assert admitted(submission(send_at=NOW)).batch.send_at is None
    assert admitted(submission(send_at=NOW - 1)).batch.expire_at == NOW + 3 * DAY_MS


def test_a_later_expire_at_than_the_dialect_allows_is_capped():
    assert admitted(submission(expire_at=NOW + 9 * DAY_MS)).batch.expire_at == NOW + 3 * DAY_MS
    assert admitted(submission(expire_at=NOW + DAY_MS)).batch.expire_at == NOW + DAY_MS


def test_a_replacement_keeps_the_first_instant():
    batch = admitted(submission(), created_at=NOW - 5_000).batch
    assert (batch.created_at, batch.modified_at) == (NOW - 5_000, NOW)


# --- parts


def test_parts_are_counted_once_for_all():
    messages = admitted(submission("46701740611", "46701740612", text=LONG)).messages
    assert [message.parts for message in messages] == [2, 2]


def test_seventy_characters_outside_the_basic_plane_are_not_one_part():
    assert admitted(submission(text="\U0001f4e6" * 70)).messages[0].parts == 3


def test_more_parts_than_the_batch_allows_abort_each_message():
    sub = submission("46701740611", "46701740612", text=LONG, with_content={"max_parts": 1})
    assert {message.abort for message in admitted(sub).messages} == {Reason.TOO_MANY_PARTS}


def test_the_batchs_limit_wins_over_the_accounts():
    acc = account(max_parts=1)
    assert admitted(submission(text=LONG), acc).messages[0].abort is Reason.TOO_MANY_PARTS
    assert admitted(submission(text=LONG, with_content={"max_parts": 2}), acc).messages[0].abort is None


def test_truncated_text_is_one_part_whatever_the_limit():
    message = admitted(submission(text=LONG, with_content={"truncate": True, "max_parts": 1})).messages[0]
    assert (message.parts, message.abort) == (1, None)


def test_octets_are_one_part():
    content = Content(kind=ContentKind.BINARY, data="00ff", udh="0500030a0201")
    assert admitted(submission(content=content)).messages[0].parts == 1


def test_media_finds_no_link_that_carries_it():
    content = Content(kind=ContentKind.MEDIA, text="look", media_url="https://shop.example/a.png")
    assert admitted(submission(content=content)).messages[0].abort is Reason.NO_ROUTE


# --- parameters


def parameters(**keys):
    return {"parameters": keys}


def test_each_recipient_gets_its_own_text():
    sub = submission(
        "46701740611",
        "46701740612",
        text="Hi ${name}",
        with_content=parameters(name={"+46701740611": "Ada", "default": "you"}),
    )
    assert [message.text for message in admitted(sub).messages] == ["Hi Ada", "Hi you"]


def test_a_missing_value_aborts_that_recipient_alone():
    sub = submission(
        "46701740611", "46701740612", text="Hi ${name}", with_content=parameters(name={"0046701740612": "Bo"})
    )
    first, second = admitted(sub).messages
    assert (first.abort, first.text) == (Reason.UNMATCHED_PARAMETER, None)
    assert (second.abort, second.text) == (None, "Hi Bo")


def test_a_filled_in_text_is_counted_for_itself():
    sub = submission(
        "46701740611",
        "46701740612",
        text="${body}",
        with_content={"max_parts": 1, **parameters(body={"46701740611": "x", "46701740612": "\u2713" * 71})},
    )
    first, second = admitted(sub).messages
    assert (first.parts, first.abort) == (1, None)
    assert (second.parts, second.abort) == (2, Reason.TOO_MANY_PARTS)


def test_a_filled_in_text_is_cut_when_asked():
    sub = submission(
        text="${body}", with_content={"truncate": True, **parameters(body={"default": "y" * 160 + "cut off"})}
    )
    message = admitted(sub).messages[0]
    assert (message.parts, message.text) == (1, "y" * 160)


# --- routes and blocks


def test_without_routes_any_link_may_take_it():
    assert admitted(submission()).routes == ""


def test_one_link_for_all_is_said_once():
    planned = admitted(submission("46701740611", "46701740612"), route_for=lambda number, name: "main")
    assert planned.routes == "main"


def test_routes_differ_by_number_and_see_the_accounts_name():
    seen = []

    def route_for(number, name):
        seen.append(name)
        return "a" if number.endswith("1") else "b"

    assert admitted(submission("46701740611", "46701740612"), route_for=route_for).routes == ["a", "b"]
    assert seen == ["shop", "shop"]


def test_a_number_without_a_route_is_aborted_and_the_others_are_not():
    planned = admitted(
        submission("46701740611", "4570174061"), route_for=lambda number, _: "se" if number.startswith("46") else None
    )
    assert [message.abort for message in planned.messages] == [None, Reason.NO_ROUTE]
    assert planned.routes == ["se", ""]


def test_blocked_numbers_are_aborted():
    planned = admitted(submission("46701740611", "46701740612"), account(blocked_numbers=("46701740612",)))
    assert [message.abort for message in planned.messages] == [None, Reason.BLOCKED_DESTINATION]


# --- dry run


def previewed(sub, **options) -> DryRunResult:
    result = preview(sub, account(), **options)
    assert isinstance(result, DryRunResult)
    return result


def rows(result: DryRunResult) -> list[DryRunRecipient]:
    assert result.recipients is not None
    return list(result.recipients)


def test_a_dry_run_counts_all_and_lists_up_to_the_limit():
    result = previewed(submission("46701740611", "46701740612", text=LONG), per_recipient=True, limit=1)
    assert (result.recipient_count, result.part_count) == (2, 4)
    assert [row.recipient for row in rows(result)] == ["46701740611"]


def test_a_dry_run_tells_the_encoding_of_each_text():
    sub = submission(
        "46701740611", "46701740612", text="${t}", with_content=parameters(t={"46701740611": "a", "default": "\u2713"})
    )
    result = previewed(sub, per_recipient=True, limit=100)
    assert [(row.text, row.unicode) for row in rows(result)] == [("a", False), ("\u2713", True)]


def test_a_dry_run_needs_no_callback_url_but_a_sender():
    result = previewed(submission(notify=Notify.FINAL), per_recipient=False, limit=100)
    assert (result.recipient_count, result.recipients) == (1, None)
    denied_one = preview(submission(sender=None), account(), per_recipient=False, limit=1)
    assert isinstance(denied_one, Denial)
    assert denied_one.problem is Problem.NO_SENDER
