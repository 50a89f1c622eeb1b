"""Errors carry what their edge needs to answer."""

from kvitto.core.errors import (
    BadInput,
    Conflict,
    NotFound,
    Refused,
    SettingsError,
    SettingsProblem,
    StoreUnavailable,
)


def test_bad_input_names_the_field_and_what_is_wrong():
    error = BadInput("to[3]", "has 21 digits, at most 15 are allowed")
    assert (error.field, error.text) == ("to[3]", "has 21 digits, at most 15 are allowed")
    assert str(error) == "to[3]: has 21 digits, at most 15 are allowed"
    assert str(BadInput("", "no JSON")) == "no JSON"


def test_refusals_have_a_code_word():
    missing = NotFound("batch")
    assert (missing.code, missing.what, missing.text) == ("not_found", "batch", "no such batch")
    taken = Conflict("the name is taken", field="name")
    assert (taken.code, taken.field) == ("conflict", "name")
    assert isinstance(missing, Refused)
    assert isinstance(taken, Refused)


def test_an_unavailable_store_says_when_to_come_back():
    assert StoreUnavailable("disk full", retry_after_s=7).retry_after_s == 7


def test_a_settings_error_tells_every_problem():
    problem = SettingsProblem(key="http.port", value="0x", reason="no number", source="env KVITTO__HTTP__PORT")
    error = SettingsError([problem, problem])
    assert error.problems == (problem, problem)
    assert str(error).count("http.port = 0x (env KVITTO__HTTP__PORT): no number") == 2
