"""Sending at Sinch, section by section of docs/dialects/sinch.md: forms, limits, defaults, the batch object."""

import json
from pathlib import Path

import pytest

from kvitto.core.model import ContentKind, NewBatch, Notify
from kvitto.dialects.base import Problem
from kvitto.dialects.sinch import SinchDialect, responses
from tests.support.sinch import NOW, account, at, batch_of, body, call, read, refusal, send, shown

EXAMPLES = Path(__file__).parent / "sinch_examples"
FORMAT = "syntax_invalid_parameter_format"
CONSTRAINT = "syntax_constraint_violation"
DAY_MS = 86_400_000
URL = "https://shop.example/dlr"


def created(**fields):
    return shown(responses.write_created(None, NewBatch(batch_of(send(**fields)), [])))


def refused(**fields):
    return refusal("POST", "/batches", body(**fields))


# --- 1: formats


@pytest.mark.parametrize(
    "given",
    ["+46701740611", "46701740611", "0046701740611", "+46 70-174 06 11", "(+46) 701740611", "[46]701740611"],
)
def test_s1_numbers_become_bare_digits(given):
    assert send(to=[given]).recipients == ("46701740611",)


@pytest.mark.parametrize("given", ["12345", "123456789012345"])
def test_s1_numbers_have_5_to_15_digits(given):
    assert send(to=[given]).recipients == (given,)


@pytest.mark.parametrize("given", ["1234", "1234567890123456", "", "+", "4670174061x", "٤٦٧٠١٧٤٠٦١١", "shop", "a b"])
def test_s1_what_is_neither_number_nor_group_is_a_format_error_naming_its_place(given):
    status, code, text = refused(to=["46701740611", given])
    assert (status, code) == (400, FORMAT)
    assert text.startswith("to[1]: ")


@pytest.mark.parametrize("given", ["01KVT7Q4M8Z2X5B9C3D6F0G1HJ", "abcdefghijkl", "Ab-_456789012345"])
def test_s1_what_looks_like_a_group_id_is_an_unknown_group(given):
    assert refused(to=["46701740611", given])[:2] == (403, "unknown_group")


def test_s1_one_message_per_distinct_number():
    assert send(to=["46701740612", "+46701740611", "0046701740612"]).recipients == ("46701740612", "46701740611")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("+46701740605", "46701740605"),
        ("0046701740605", "46701740605"),
        ("12345", "12345"),
        ("123", "123"),
        ("Shop", "Shop"),
        ("My Shop 24", "My Shop 24"),
        ("ELEVENCHARS", "ELEVENCHARS"),
        ("Åland", "Åland"),
    ],
)
def test_s1_numeric_senders_become_digits_and_names_stay(given, kept):
    assert send(from_=given).sender == kept


def test_s1_a_name_of_12_characters_breaks_the_limit():
    assert refused(from_="TWELVECHARSX") == (400, CONSTRAINT, "from: a name has 1 to 11 characters")


@pytest.mark.parametrize("given", ["1234567890123456", "---", "Магазин", "Shop\n\x07"])
def test_s1_a_sender_of_another_form_is_refused(given):
    assert refused(from_=given)[:2] == (400, FORMAT)


@pytest.mark.parametrize("field", ["type", "delivery_report", "send_at", "callback_url", "parameters", "flash_message"])
def test_s1_null_means_missing(field):
    assert send(**{field: None}) == send()


def test_s1_unknown_fields_and_tags_are_ignored():
    assert send(tags=["spring"], nonsense={"deep": [1]}) == send()


# --- 3: errors and their order


@pytest.mark.parametrize("octets", [b"", b"{", b"nonsense", b'{"to": [}', b'{"to": 5,]', b"\xff", b'{"body": "\xff"}'])
def test_s3_what_is_not_json_is_told_so(octets):
    assert refusal("POST", "/batches", octets)[:2] == (400, "syntax_invalid_json")


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_s3_json_of_another_shape_is_invalid_json(value):
    octets = json.dumps(value).encode()
    assert refusal("POST", "/batches", octets)[:2] == (400, "syntax_invalid_json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "46701740611"),
        ("to", {}),
        ("from", 46701740605),
        ("type", "mt_voice"),
        ("type", 5),
        ("body", 5),
        ("body", []),
        ("delivery_report", "FULL"),
        ("send_at", 1930799167),
        ("callback_url", 5),
        ("client_reference", 5),
        ("feedback_enabled", "true"),
        ("flash_message", 1),
        ("truncate_concat", "no"),
        ("max_number_of_message_parts", 1.5),
        ("max_number_of_message_parts", True),
        ("from_ton", "1"),
        ("from_npi", 1.5),
        ("udh", 5),
        ("parameters", []),
        ("strict_validation", "x"),
    ],
)
def test_s3_a_value_of_the_wrong_type_names_its_field(field, value):
    status, code, text = refusal("POST", "/batches", {**body(), field: value})
    assert (status, code) == (400, FORMAT)
    assert text.startswith(f"{field}: ")


def test_s3_the_place_in_a_list_is_named():
    assert refused(to=["46701740611", 5]) == (400, FORMAT, "to[1]: expected string, got integer")


def test_s3_an_enum_names_its_values():
    assert refused(type="mt_voice")[2] == "type: mt_text, mt_binary or mt_media"


def test_s3_format_comes_before_constraint_and_constraint_before_403():
    everything = {"to": [], "send_at": "tomorrow", "delivery_report": "full"}
    assert refused(**everything)[1] == FORMAT
    assert refused(**{**everything, "send_at": ...})[1] == CONSTRAINT
    assert refused(delivery_report="full")[1] == "missing_callback_url"
    assert refused(to=["abcdefghijkl"], body="x" * 2001)[1] == CONSTRAINT


def test_s3_json_comes_before_format():
    assert refusal("POST", "/batches", b'{"to": 5, "body": nonsense}')[1] == "syntax_invalid_json"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/batches"),
        ("POST", "/batches/dry_run"),
        ("POST", "/batches/abc"),
        ("PUT", "/batches/abc"),
        ("POST", "/batches/abc/delivery_feedback"),
    ],
)
def test_s3_a_body_that_is_not_declared_json_is_415_without_body(method, target, content_type):
    assert refusal(method, target, b"nonsense", content_type=content_type) == (415, "", "")


@pytest.mark.parametrize(
    ("problem", "status", "code"),
    [
        (Problem.UNAUTHORIZED, 401, None),
        (Problem.ACCOUNT_DISABLED, 403, "blocked_account"),
        (Problem.QUOTA_SPENT, 403, "blocked_account"),
        (Problem.SENDER_NOT_ALLOWED, 403, "illegal_number_type"),
        (Problem.NO_SENDER, 400, CONSTRAINT),
        (Problem.NO_CALLBACK_URL, 403, "missing_callback_url"),
        (Problem.TOO_MANY_PARTS, 400, CONSTRAINT),
        (Problem.NOT_FOUND, 404, None),
        (Problem.METHOD_NOT_ALLOWED, 405, None),
        (Problem.ALREADY_DISPATCHED, 403, "batch_already_dispatched"),
        (Problem.TOO_LARGE, 413, CONSTRAINT),
        (Problem.THROTTLED, 429, None),
        (Problem.UNAVAILABLE, 503, None),
        (Problem.INTERNAL, 500, None),
    ],
)
def test_s3_every_problem_has_its_status_and_code(problem, status, code):
    answer = SinchDialect().refuse(problem)
    assert answer.status == status
    if code is None:
        assert (answer.body, answer.content_type) == (b"", "")
    else:
        error = shown(answer)
        assert error["code"] == code
        assert set(error) == {"code", "text"}
        assert error["text"]


def test_s3_no_problem_is_forgotten():
    for problem in Problem:
        assert 400 <= SinchDialect().refuse(problem).status < 600


def test_s3_the_text_of_a_problem_can_be_given():
    assert shown(SinchDialect().refuse(Problem.TOO_LARGE, text="body: at most 8 MiB"))["text"] == "body: at most 8 MiB"


def test_s3_405_names_the_methods_and_429_and_503_say_when():
    dialect = SinchDialect()
    assert dialect.refuse(Problem.METHOD_NOT_ALLOWED, allow="GET, POST").headers == (("Allow", "GET, POST"),)
    assert dialect.refuse(Problem.THROTTLED, retry_after_s=7).headers == (("Retry-After", "7"),)
    assert dict(dialect.refuse(Problem.UNAVAILABLE).headers)["Retry-After"].isdigit()


# --- 2: authentication


@pytest.mark.parametrize("value", ["Bearer tok1", "bearer tok1", "BEARER  tok1 "])
def test_s2_the_bearer_token_and_the_plan_of_the_path_are_presented(value):
    made = call("GET", "/xms/v1/plan1/batches/abc")._replace(headers={"authorization": value})
    found = SinchDialect().credentials(made)
    assert found is not None
    assert (found.token, found.service_plan_id) == ("tok1", "plan1")


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "tok1"])
def test_s2_anything_else_presents_nothing(value):
    made = call("GET", "/xms/v1/plan1/batches/abc")._replace(headers={"authorization": value})
    assert SinchDialect().credentials(made) is None


def test_s2_a_401_does_not_say_expired():
    assert all("expired" not in value.lower() for _, value in SinchDialect().refuse(Problem.UNAUTHORIZED).headers)


# --- 4: send


def test_s4_2_the_example_of_the_docs():
    example = json.loads((EXAMPLES / "send.json").read_text())
    operation = read("POST", "/batches", example["request"])
    answer = responses.write_created(operation, NewBatch(batch_of(operation.submission), []))
    assert answer.status == 201
    assert shown(answer) == example["response"]


def test_s4_1_defaults():
    submission = send()
    assert submission.content.kind is ContentKind.TEXT
    assert submission.notify is None
    assert (submission.send_at, submission.expire_at, submission.callback_url) == (None, None, None)
    assert (submission.feedback, dict(submission.extra)) == (False, {})
    assert submission.validity_default_ms == submission.validity_max_ms == 3 * DAY_MS


def test_s4_1_to_accepts_1000_recipients_and_not_1001():
    numbers = [str(46_700_000_000 + n) for n in range(1001)]
    assert len(send(to=numbers[:1000]).recipients) == 1000
    assert refused(to=numbers) == (400, CONSTRAINT, "to: 1 to 1000 elements")


@pytest.mark.parametrize("to", [[], None, ...])
def test_s4_1_to_is_required(to):
    assert refused(to=to) == (400, CONSTRAINT, "to: 1 to 1000 elements")


@pytest.mark.parametrize("sender", [None, ..., ""])
def test_s4_1_from_is_required_without_a_default(sender):
    assert refused(from_=sender)[:2] == (400, CONSTRAINT)


def test_s4_1_from_may_be_missing_when_the_account_has_a_default():
    operation = read("POST", "/batches", body(from_=...), owner=account(default_from="Shop"))
    assert operation.submission.sender is None


@pytest.mark.parametrize(
    ("word", "notify"),
    [
        ("none", Notify.NONE),
        ("summary", Notify.BATCH_SUMMARY),
        ("full", Notify.BATCH_FULL),
        ("per_recipient", Notify.CHANGES),
        ("per_recipient_final", Notify.FINAL),
    ],
)
def test_s4_1_delivery_report_has_five_values_and_comes_back(word, notify):
    assert send(delivery_report=word, callback_url=URL).notify is notify
    assert created(delivery_report=word, callback_url=URL)["delivery_report"] == word


def test_s4_1_a_report_without_any_url_is_403_unless_the_account_has_one():
    assert refused(delivery_report="per_recipient")[:2] == (403, "missing_callback_url")
    owner = account(callback_url=URL)
    operation = read("POST", "/batches", body(delivery_report="per_recipient"), owner=owner)
    assert operation.submission.callback_url is None
    assert "callback_url" not in shown(responses.write_created(None, NewBatch(batch_of(operation.submission), [])))


def test_s4_1_send_at_in_the_future_is_held():
    submission = send(send_at="2031-03-09T07:06:07+02:00")
    assert submission.send_at is None or submission.send_at > NOW
    assert send(send_at="2031-03-09T06:06:07.5Z").send_at == at("2031-03-09T06:06:07.500Z")


def test_s4_1_send_at_in_the_past_is_now_and_comes_back_as_given():
    submission = send(send_at="2031-03-09T05:06:00.386964+00:00")
    assert submission.send_at is None
    shown_batch = created(send_at="2031-03-09T05:06:00.386964+00:00")
    assert shown_batch["send_at"] == "2031-03-09T05:06:00.386Z"
    assert shown_batch["expire_at"] == "2031-03-12T05:06:01.120Z"


@pytest.mark.parametrize("field", ["send_at", "expire_at"])
@pytest.mark.parametrize("value", ["tomorrow", "2031-03-09", "2031-13-09T05:06Z", "9999-12-31T00:00Z", ""])
def test_s4_1_a_bad_time_is_a_format_error(field, value):
    status, code, text = refused(**{field: value})
    assert (status, code, text.split(":")[0]) == (400, FORMAT, field)


def test_s4_1_expire_at_is_capped_three_days_after_send_at():
    assert send(expire_at="2031-03-12T05:06:01.120Z").expire_at == NOW + 3 * DAY_MS
    assert send(expire_at="2031-03-12T05:06:01.121Z").expire_at == NOW + 3 * DAY_MS
    later = send(send_at="2031-03-10T00:00Z", expire_at="2032-01-01T00:00Z")
    assert later.expire_at == at("2031-03-13T00:00:00Z")
    assert send(expire_at="2031-03-09T06:00Z").expire_at == at("2031-03-09T06:00:00Z")


@pytest.mark.parametrize(
    ("send_at", "expire_at"),
    [
        (None, "2031-03-09T05:06:01.120Z"),
        (None, "2031-03-09T05:00Z"),
        ("2031-03-10T00:00Z", "2031-03-10T00:00Z"),
        ("2031-03-10T00:00Z", "2031-03-09T12:00Z"),
        ("2031-03-01T00:00Z", "2031-03-02T00:00Z"),
    ],
)
def test_s4_1_expire_at_must_be_after_send_at_or_now(send_at, expire_at):
    status, code, text = refused(send_at=send_at, expire_at=expire_at)
    assert (status, code, text.split(":")[0]) == (400, CONSTRAINT, "expire_at")


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "HTTPS://Shop.Example:8443/x?y=1#z",
        "http://127.0.0.1:9000/dlr",
        "http://[::1]:80/",
        "https://bücher.example/",
    ],
)
def test_s4_1_callback_url_is_http_or_https(url):
    assert send(callback_url=url).callback_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "ftp://a/b",
        "http://",
        "http:///x",
        "http://a b/",
        "http://a:99999/",
        "http://a:0/",
        "http://a\n/",
        "//a/b",
        "http://user:pw@a/dlr",
        "http://@a/dlr",
        "http://a/x\\y",
        "http://[fe80::1%25eth0]/dlr",
        "http://a..b/",
    ],
)
def test_s4_1_another_callback_url_is_a_format_error(url):
    text = "callback_url: not an http or https URL, or one with user information"
    assert refused(callback_url=url) == (400, FORMAT, text)


def test_s4_1_callback_url_has_at_most_2048_characters():
    url = "http://a/" + "x" * 2039
    assert send(callback_url=url).callback_url == url
    assert refused(callback_url=url + "x") == (400, CONSTRAINT, "callback_url: at most 2048 characters")
    assert refused(callback_url=url + "x" * 10_000)[:2] == (400, CONSTRAINT)


def test_s4_1_client_reference_has_at_most_2048_characters():
    assert send(client_reference="å" * 2048).client_reference == "å" * 2048
    assert refused(client_reference="å" * 2049) == (400, CONSTRAINT, "client_reference: at most 2048 characters")


def test_s4_1_the_body_has_0_to_2000_characters():
    assert send(body="").content.text == ""
    assert send(body="✓" * 2000).content.text == "✓" * 2000
    assert refused(body="✓" * 2001) == (400, CONSTRAINT, "body: 0 to 2000 characters")


@pytest.mark.parametrize("given", [None, ...])
def test_s4_1_the_body_of_a_text_is_required(given):
    assert refused(body=given)[:2] == (400, CONSTRAINT)


def test_s4_1_an_object_is_no_body_of_a_text():
    assert refused(body={"url": URL})[:2] == (400, FORMAT)


@pytest.mark.parametrize("given", [3, "3"])
def test_s4_1_max_number_of_message_parts_is_an_integer_or_its_digits(given):
    assert send(max_number_of_message_parts=given).content.max_parts == 3
    assert created(max_number_of_message_parts=given)["max_number_of_message_parts"] == 3


@pytest.mark.parametrize(
    ("given", "code"),
    [(0, CONSTRAINT), ("0", CONSTRAINT), (-1, CONSTRAINT), ("x", FORMAT), ("", FORMAT), ("³", FORMAT)],
)
def test_s4_1_max_number_of_message_parts_is_at_least_1(given, code):
    assert refused(max_number_of_message_parts=given)[:2] == (400, code)


@pytest.mark.parametrize(("field", "most"), [("from_ton", 6), ("from_npi", 18)])
def test_s4_1_ton_and_npi_have_their_ranges(field, most):
    for value in (0, most):
        assert created(**{field: value})[field] == value
    for value in (-1, most + 1):
        assert refused(**{field: value}) == (400, CONSTRAINT, f"{field}: 0 to {most}")


def test_s4_1_flash_truncate_and_addresses_reach_the_content():
    content = send(flash_message=True, truncate_concat=True, from_ton=5, from_npi=0).content
    assert (content.flash, content.truncate, content.source_ton, content.source_npi) == (True, True, 5, 0)


def test_s4_1_feedback_enabled():
    assert send(feedback_enabled=True).feedback
    assert created(feedback_enabled=True)["feedback_enabled"] is True


def test_s4_1_binary():
    fields = {"type": "mt_binary", "body": "AAECAwQ7Ozs7\n", "udh": "0500030A0201"}
    content = send(**fields).content
    assert (content.kind, content.data, content.udh) == (
        ContentKind.BINARY,
        "000102030 43b3b3b3b".replace(" ", ""),
        "0500030A0201",
    )
    batch = created(**fields)
    assert (batch["type"], batch["body"], batch["udh"]) == ("mt_binary", "AAECAwQ7Ozs7", "0500030A0201")
    assert "flash_message" not in batch


def test_s4_1_binary_body_and_udh_are_at_most_140_bytes_together():
    def sized(size):
        import base64

        return {"type": "mt_binary", "body": base64.b64encode(bytes(size)).decode(), "udh": "050003000201"}

    assert len(send(**sized(134)).content.data) == 268
    assert refused(**sized(135)) == (400, CONSTRAINT, "body: with udh at most 140 bytes")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"body": "AAEC"}, CONSTRAINT),
        ({"body": "AAEC", "udh": None}, CONSTRAINT),
        ({"body": "AAEC", "udh": ""}, CONSTRAINT),
        ({"body": None, "udh": "00"}, CONSTRAINT),
        ({"body": "AAEC", "udh": "0"}, FORMAT),
        ({"body": "AAEC", "udh": "zz"}, FORMAT),
        ({"body": "AAE", "udh": "00"}, FORMAT),
        ({"body": "ÅÄÖ=", "udh": "00"}, FORMAT),
        ({"body": {"url": URL}, "udh": "00"}, FORMAT),
    ],
)
def test_s4_1_binary_refusals(fields, code):
    assert refused(type="mt_binary", **fields)[:2] == (400, code)


def test_s4_1_binary_accepts_fields_that_belong_to_texts():
    batch = created(
        type="mt_binary",
        body="AAEC",
        udh="00",
        flash_message=False,
        truncate_concat=True,
        max_number_of_message_parts=1,
    )
    assert (batch["flash_message"], batch["truncate_concat"], batch["max_number_of_message_parts"]) == (False, True, 1)


def test_s4_1_media():
    fields = {"type": "mt_media", "body": {"subject": "s", "message": "look", "url": "https://a/b.png"}}
    content = send(**fields).content
    assert (content.kind, content.media_url, content.text, content.media_subject) == (
        ContentKind.MEDIA,
        "https://a/b.png",
        "look",
        "s",
    )
    batch = created(**fields, strict_validation=True)
    assert (batch["type"], batch["body"]) == ("mt_media", fields["body"])
    assert batch["strict_validation"] is True
    assert created(type="mt_media", body={"url": "https://a/b.png"})["body"] == {"url": "https://a/b.png"}


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        (None, CONSTRAINT, "body"),
        ({}, CONSTRAINT, "body.url"),
        ({"url": None}, CONSTRAINT, "body.url"),
        ({"url": "http://a/" + "x" * 2040}, CONSTRAINT, "body.url"),
        ({"url": "nowhere"}, FORMAT, "body.url"),
        ({"url": 5}, FORMAT, "body.url"),
        ("text", FORMAT, "body"),
    ],
)
def test_s4_1_media_needs_a_url(given, code, field):
    status, told, text = refused(type="mt_media", body=given)
    assert (status, told, text.split(":")[0]) == (400, code, field)


def test_s4_2_optional_fields_are_left_out_unless_given():
    assert set(created()) == {
        "id",
        "to",
        "from",
        "canceled",
        "body",
        "type",
        "created_at",
        "modified_at",
        "delivery_report",
        "expire_at",
        "feedback_enabled",
        "flash_message",
    }
    assert created(truncate_concat=False)["truncate_concat"] is False
    assert created(strict_validation=False)["strict_validation"] is False
    assert created(client_reference="")["client_reference"] == ""


def test_s4_2_from_is_absent_only_when_nobody_chose_one():
    assert "from" not in shown(responses.write_created(None, NewBatch(batch_of(send(), sender=None), [])))


def test_s4_2_the_extra_of_another_dialect_means_nothing_here():
    batch = batch_of(send(), dialect="other", extra={"send_at": "soon", "parameters": 5})
    assert set(shown(responses.write_batch(None, batch))) == set(created())


def test_s4_2_extra_is_json():
    extra = send(
        send_at="2030-01-01T00:00Z",
        expire_at="2031-03-10T00:00Z",
        truncate_concat=False,
        strict_validation=True,
        body="${a}",
        parameters={"a": {"+46701740611": "x"}},
    ).extra
    assert json.loads(json.dumps(extra)) == extra


# --- 5: parameters


def test_s5_parameters_come_back_as_sent():
    sent = {"name": {"+46701740611": "Eva", "0046701740612": "Åke", "default": "you"}}
    content = send(body="Hi ${name}", parameters=sent).content
    assert content.parameters == sent
    assert created(body="Hi ${name}", parameters=sent)["parameters"] == sent


def test_s5_parameter_keys_and_values_have_their_limits():
    assert send(parameters={"k" * 16: {"default": "v" * 160}}).content.parameters
    assert refused(parameters={"k" * 17: {"default": "v"}}) == (
        400,
        CONSTRAINT,
        "parameters: a key has at most 16 characters",
    )
    assert refused(parameters={"k": {"default": "v" * 161}}) == (
        400,
        CONSTRAINT,
        "parameters: a value has at most 160 characters",
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"a b": {"default": "x"}},
        {"": {"default": "x"}},
        {"å": {"default": "x"}},
        {"k": {"Default": "x"}},
        {"k": {"12": "x"}},
    ],
)
def test_s5_parameter_keys_of_another_form_are_refused(parameters):
    assert refused(parameters=parameters)[:2] == (400, FORMAT)


@pytest.mark.parametrize("parameters", [{"k": "x"}, {"k": {"default": 5}}, {"k": {"default": None}}, {"k": None}])
def test_s5_parameters_are_strings_in_objects(parameters):
    status, code, text = refused(parameters=parameters)
    assert (status, code, text[:10]) == (400, FORMAT, "parameters")


# --- hostile


@pytest.mark.parametrize("field", ["body", "client_reference"])
def test_u0000_is_refused_because_no_database_text_holds_it(field):
    assert refused(**{field: "a\0b"}) == (400, FORMAT, f"{field}: must not hold U+0000")


def test_an_escaped_backslash_before_u0000_is_ordinary_text():
    assert send(body="\\u0000").content.text == "\\u0000"


def test_u0000_hides_nowhere_in_parameters_or_media():
    assert refused(parameters={"k": {"default": "\0"}})[2] == "parameters: must not hold U+0000"
    assert refused(type="mt_media", body={"url": URL, "message": "\0"})[2] == "body: must not hold U+0000"


def test_no_refusal_repeats_the_value():
    secret = "46701740611 is my number"
    for field in ("to", "from_", "type", "delivery_report", "send_at", "callback_url"):
        value = [secret] if field == "to" else secret
        assert secret not in refused(**{field: value})[2]
