"""The SMPP tables: complete, and forgiving towards numbers that are not in them."""

import pytest

from kvitto.smpp.spec import (
    COMMAND_STATUS,
    COMMANDS,
    RESPONSE_BIT,
    CommandId,
    StatusClass,
    classify,
    command_name,
    status_name,
)

TEMPORARY = {0x08, 0x14, 0x58, 0x64, 0xFE, 0xFF, 0x102}
BIND = {0x04, 0x05, 0x0D, 0x0E, 0x0F, 0x53}


@pytest.mark.parametrize("status", sorted(COMMAND_STATUS))
def test_every_status_of_the_table_is_classified_as_docs_smpp_1_8_says(status):
    expected = (
        StatusClass.OK
        if status == 0
        else StatusClass.TEMPORARY
        if status in TEMPORARY
        else StatusClass.BIND
        if status in BIND
        else StatusClass.PERMANENT
    )
    assert classify(status) is expected


@pytest.mark.parametrize("status", [0x09, 0x34F, 0x400, 0x401, 0x4FF, 1375, 0xFFFFFFFF])
def test_r2_a_status_without_a_name_is_permanent_and_shown_in_hex(status):
    assert classify(status) is StatusClass.PERMANENT
    assert status_name(status) == f"0x{status:08X}"


def test_r2_a_status_with_a_name_is_shown_by_it():
    assert status_name(0x58) == "ESME_RTHROTTLED"


def test_a_link_may_class_vendor_codes_and_rsubmitfail_its_own_way_but_never_success():
    overrides = {0x401: StatusClass.TEMPORARY, 0x45: StatusClass.TEMPORARY, 0: StatusClass.PERMANENT}
    assert classify(0x401, overrides) is StatusClass.TEMPORARY
    assert classify(0x45, overrides) is StatusClass.TEMPORARY
    assert classify(0x45) is StatusClass.PERMANENT
    assert classify(0, overrides) is StatusClass.OK


def test_every_request_that_is_answered_has_its_response_in_the_table():
    unanswered = {CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION}
    for command_id, command in COMMANDS.items():
        if not command.is_response and command_id not in unanswered:
            assert command_id | RESPONSE_BIT in COMMANDS


def test_unknown_numbers_keep_their_hex():
    assert command_name(5) == "deliver_sm"
    assert command_name(0x10005) == "0x00010005"
