"""What every callback carries, and the check of it (P18)."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
import standardwebhooks

from kvitto.callbacks.signing import (
    EVENT_AT,
    RESERVED,
    SEQUENCE,
    Finding,
    callback_lines,
    signature,
    verify,
    webhook_id,
)
from kvitto.core.ids import new_secret
from kvitto.core.model import CallbackDue
from kvitto.core.secrets import key_of, secret_problem
from kvitto.core.status import Reason, Status
from tests.support.sinch import message

NOW = 1_773_065_100_250
SECRET, OLD, OTHER = "whsec_" + "A" * 44, new_secret(), new_secret()
BODY = '{"text":"Hälsningar"}'.encode()


def due(number: int = 7, created_at: int = NOW - 9_750, attempts: int = 0) -> CallbackDue:
    return CallbackDue(
        number,
        "a1",
        "sinch",
        "https://shop.example/dlr",
        message(Status.DELIVERED, Reason.DELIVERED),
        False,
        attempts,
        created_at,
        None,
    )


def head(
    *dues: CallbackDue, secrets: tuple[str, ...] = (SECRET,), body: bytes = BODY, now: int = NOW
) -> dict[str, str]:
    lines = callback_lines(dues or (due(),), body, secrets, now).decode("ascii")
    assert lines.endswith("\r\n")
    return dict(line.split(": ", 1) for line in lines[:-2].split("\r\n"))


def test_p18_the_fields_to_the_octet():
    message = b"cb_1773065090500_7.1773065100." + BODY
    expected = base64.b64encode(hmac.digest(base64.b64decode("A" * 44), message, hashlib.sha256)).decode()
    assert head() == {
        "webhook-id": "cb_1773065090500_7",
        "webhook-timestamp": "1773065100",
        "webhook-signature": f"v1,{expected}",
        SEQUENCE: "7",
        EVENT_AT: "2026-03-09T14:04:50.500Z",
    }


def test_p18_during_a_rotation_both_secrets_sign_the_newest_first():
    first, second = head(secrets=(SECRET, OLD))["webhook-signature"].split(" ")
    assert first == head(secrets=(SECRET,))["webhook-signature"]
    assert second == head(secrets=(OLD,))["webhook-signature"]


def test_p9_the_id_is_the_same_at_each_try_and_another_for_another_callback():
    assert head(due(attempts=0))["webhook-id"] == head(due(attempts=5), now=NOW + 10**9)["webhook-id"]
    ids = [webhook_id(one) for one in [(due(7),), (due(8),), (due(7, NOW),), (due(7), due(8)), (due(7), due(9))]]
    assert len(set(ids)) == 5
    assert webhook_id((due(8), due(7))) == webhook_id((due(7), due(8))), "in whatever order they were claimed"
    assert all("." not in one for one in ids), "a dot parts id, time and body"


def test_p15_a_call_of_several_has_the_place_and_time_of_its_last_event():
    fields = head(due(12, NOW), due(7))
    assert (fields[SEQUENCE], fields[EVENT_AT]) == ("12", "2026-03-09T14:05:00.250Z")


def test_p18_whatever_is_written_here_is_reserved():
    assert {name.lower() for name in head()} <= RESERVED


@pytest.mark.parametrize("secrets", [(SECRET,), (SECRET, OLD), (OLD, SECRET)])
def test_p18_the_stock_library_verifies(secrets):
    now = int(datetime.now(UTC).timestamp() * 1000)
    fields = head(secrets=secrets, now=now)
    assert standardwebhooks.Webhook(SECRET).verify(BODY, fields) == {"text": "Hälsningar"}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(OTHER).verify(BODY, fields)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(BODY + b" ", fields)


def test_p18_what_the_stock_library_signs_is_genuine():
    made = standardwebhooks.Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(NOW // 1000, UTC), BODY.decode())
    given = {"Webhook-Id": "msg_1", "WEBHOOK-TIMESTAMP": str(NOW // 1000), "webhook-signature": made}
    assert verify(given, BODY, [SECRET], NOW).is_genuine


@pytest.mark.parametrize("key", [b"", b"k", b"k" * 63, b"k" * 64, b"k" * 65, b"k" * 500])
def test_p18_a_key_of_any_length_signs_as_hmac_does(key):
    secret = "whsec_" + base64.b64encode(key).decode()
    expected = base64.b64encode(hmac.digest(key, b"i.1.{}", hashlib.sha256)).decode()
    assert signature(secret, "i", "1", b"{}") == f"v1,{expected}"


@pytest.mark.parametrize("secret", ["whsec_x", "whsec_å", "not base64!", "whsec_AA=A"])
def test_p18_a_secret_that_is_no_base64_signs_as_it_stands(secret):
    assert key_of(secret) == secret.encode()


# ---- the check


def test_p18_genuine_says_which_secret_fits():
    fields = head(secrets=(SECRET, OLD))
    assert verify(fields, BODY, [OTHER, OLD], NOW) == (Finding.GENUINE, "", 1)
    assert verify(fields, BODY, [SECRET], NOW) == (Finding.GENUINE, "", 0)


GOOD = head()
REFUSED = {
    "no id": ({"webhook-id": ""}, BODY, NOW, Finding.MISSING, "webhook-id"),
    "no time": ({"webhook-timestamp": " "}, BODY, NOW, Finding.MISSING, "webhook-timestamp"),
    "no signature": ({"webhook-signature": ""}, BODY, NOW, Finding.MISSING, "webhook-signature"),
    "another id": ({"webhook-id": "cb_1_1"}, BODY, NOW, Finding.FORGED, ""),
    "another time": ({"webhook-timestamp": "1773065101"}, BODY, NOW, Finding.FORGED, ""),
    "a space more": ({}, BODY + b" ", NOW, Finding.FORGED, ""),
    "an empty body": ({}, b"", NOW, Finding.FORGED, ""),
    "half a signature": ({"webhook-signature": GOOD["webhook-signature"][:20]}, BODY, NOW, Finding.FORGED, ""),
    "not ASCII": ({"webhook-signature": "v1,åäö\udcff"}, BODY, NOW, Finding.FORGED, ""),
    "an id that is no text": ({"webhook-id": "\udcff"}, BODY, NOW, Finding.FORGED, ""),
    "another version": ({"webhook-signature": "v1a,AAAA v2,BBBB"}, BODY, NOW, Finding.NO_VERSION, ""),
    "no version": ({"webhook-signature": GOOD["webhook-signature"][3:]}, BODY, NOW, Finding.NO_VERSION, ""),
    "a time in words": ({"webhook-timestamp": "noon"}, BODY, NOW, Finding.BAD_TIMESTAMP, ""),
    "a negative time": ({"webhook-timestamp": "-1773065100"}, BODY, NOW, Finding.BAD_TIMESTAMP, ""),
    "other digits": ({"webhook-timestamp": "١٧٧٣٠٦٥١٠٠"}, BODY, NOW, Finding.BAD_TIMESTAMP, ""),
    "very many digits": ({"webhook-timestamp": "1" * 10_000}, BODY, NOW, Finding.BAD_TIMESTAMP, ""),
    "old": ({}, BODY, NOW + 300_000, Finding.TOO_OLD, "by 300 s, more than 300 s"),
    "new": ({}, BODY, NOW - 301_000, Finding.TOO_NEW, "by 301 s, more than 300 s"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_p18_what_is_not_genuine_is_told_in_words(case):
    changed, body, now, finding, detail = case
    verdict = verify({**GOOD, **changed}, body, [SECRET], now)
    assert verdict[:2] == (finding, detail)
    assert not verdict.is_genuine
    assert str(finding) in str(verdict)


def test_p18_the_tolerance_is_the_callers():
    assert verify(GOOD, BODY, [SECRET], NOW + 3_599_000, 3600).is_genuine
    assert verify(GOOD, BODY, [SECRET], NOW + 2_000, 1).finding is Finding.TOO_OLD


def test_p18_no_secret_fits_nothing():
    assert verify(GOOD, BODY, [], NOW).finding is Finding.FORGED


# ---- secrets that somebody chose


@pytest.mark.parametrize("octets", [24, 32, 64])
def test_p18_a_secret_of_the_specifications_length_is_taken(octets):
    assert secret_problem("whsec_" + base64.b64encode(b"k" * octets).decode()) is None
    assert secret_problem(new_secret()) is None


@pytest.mark.parametrize("octets", [0, 1, 23, 65])
def test_p18_a_secret_of_another_length_is_refused(octets):
    assert f"it has {octets}" in str(secret_problem("whsec_" + base64.b64encode(b"k" * octets).decode()))


@pytest.mark.parametrize("secret", ["", "canary", "WHSEC_" + "A" * 44, "whsec_canary!", "whsec_" + "ä" * 44])
def test_p18_a_secret_of_another_form_is_refused_without_being_repeated(secret):
    problem = secret_problem(secret)
    assert problem
    assert "canary" not in problem
