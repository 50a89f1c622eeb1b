"""Which changes Sinch's callbacks tell: a final status is not replaced, unless the account wants it (status.md 7)."""

import pytest

from kvitto.core.model import Account, CallbackDue, ContentKind, MessageView
from kvitto.core.status import NO_ERROR, Note, Reason, Status
from kvitto.dialects.sinch import SinchDialect

END = MessageView(
    "M", "B", "A", "46701740611", Status.DELIVERED, Reason.DELIVERED, 1, 1, NO_ERROR, 1, Note.NONE, 0, None,
    ContentKind.TEXT, None,
)  # fmt: skip
ON_THE_WAY = END._replace(status=Status.DISPATCHED, reason=Reason.ACCEPTED)
LATE = END._replace(notes=Note.LATE)


@pytest.mark.parametrize(
    ("facts", "wishes", "told"),
    [
        (END, {}, True),
        (ON_THE_WAY, {}, True),
        (LATE, {}, False),
        (LATE, {"late_corrections": False}, False),
        (LATE, {"late_corrections": True}, True),
        (ON_THE_WAY, {"final_only": True}, False),
        (END, {"final_only": True}, True),
    ],
)
def test_what_is_told(facts, wishes, told):
    account = Account(id="A", name="a", service_plan_id="p", username="u", **wishes)
    due = CallbackDue(1, "A", "sinch", "http://customer.example/", facts, False, 0, 0, None)
    assert SinchDialect().tells(due, account) is told
