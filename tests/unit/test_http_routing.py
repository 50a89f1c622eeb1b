"""Routes and queries."""

from functools import partial

import pytest

from kvitto.intake.exchange import Request, Response
from kvitto.intake.routing import Found, NoMethod, NoPath, Router, parse_query

ROUTES = [
    ("POST", "/xms/v1/{plan}/batches"),
    ("GET", "/xms/v1/{plan}/batches"),
    ("POST", "/xms/v1/{plan}/batches/dry_run"),
    ("GET", "/xms/v1/{plan}/batches/{batch_id}"),
    ("POST", "/xms/v1/{plan}/batches/{batch_id}"),
    ("DELETE", "/xms/v1/{plan}/batches/{batch_id}"),
    ("GET", "/xms/v1/{plan}/batches/{id}/delivery_report"),
    ("GET", "/xms/v1/{plan}/batches/{id}/delivery_report/{number}"),
    ("GET", "/xms/v1/{plan}/batches/dry_run/log/{n}"),
    ("GET", "/"),
    ("GET", "/livez"),
    ("GET", "/static/{file:path}"),
    ("HEAD", "/static/{file:path}"),
]


def answer(route: str, request: Request, **params: str) -> Response:
    return Response(200, f"{route} {sorted(params.items())}".encode())


def router(**options) -> Router:
    built = Router(**options)
    for method, template in ROUTES:
        built.add(method, template, partial(answer, f"{method} {template}"))
    return built


def found(built: Router, method: str, path: str):
    match = built.resolve(method, path)
    assert isinstance(match, Found), match
    outcome = match.handler(Request(method, path, path), **match.params)
    assert isinstance(outcome, Response)
    return outcome.body.decode(), match.params


@pytest.mark.parametrize(
    ("method", "path", "template", "params"),
    [
        ("POST", "/xms/v1/p/batches", "POST /xms/v1/{plan}/batches", {"plan": "p"}),
        ("POST", "/xms/v1/p/batches/", "POST /xms/v1/{plan}/batches", {"plan": "p"}),
        ("POST", "/xms/v1/p/batches/dry_run", "POST /xms/v1/{plan}/batches/dry_run", {"plan": "p"}),
        ("POST", "/xms/v1/p/batches/dry%5Frun", "POST /xms/v1/{plan}/batches/dry_run", {"plan": "p"}),
        ("GET", "/xms/v1/p/batches/b", "GET /xms/v1/{plan}/batches/{batch_id}", {"plan": "p", "batch_id": "b"}),
        ("HEAD", "/xms/v1/p/batches/b", "GET /xms/v1/{plan}/batches/{batch_id}", {"plan": "p", "batch_id": "b"}),
        (
            "GET",
            "/xms/v1/p/batches/b/delivery_report/+46701",
            "GET /xms/v1/{plan}/batches/{id}/delivery_report/{number}",
            {"plan": "p", "id": "b", "number": "+46701"},
        ),
        (
            "GET",
            "/xms/v1/p/batches/b/delivery_report/%2B46701",
            "GET /xms/v1/{plan}/batches/{id}/delivery_report/{number}",
            {"plan": "p", "id": "b", "number": "+46701"},
        ),
        # A fixed segment that leads nowhere does not hide the name beside it.
        (
            "GET",
            "/xms/v1/p/batches/dry_run/delivery_report",
            "GET /xms/v1/{plan}/batches/{id}/delivery_report",
            {"plan": "p", "id": "dry_run"},
        ),
        ("GET", "/xms/v1/a%2Fb%20%C3%A5/batches", "GET /xms/v1/{plan}/batches", {"plan": "a/b å"}),
        ("GET", "/xms/v1/%FF/batches", "GET /xms/v1/{plan}/batches", {"plan": "�"}),
        ("GET", "/", "GET /", {}),
        ("GET", "/livez", "GET /livez", {}),
        ("GET", "/static/a/b.css", "GET /static/{file:path}", {"file": "a/b.css"}),
        ("HEAD", "/static/a", "HEAD /static/{file:path}", {"file": "a"}),
    ],
)
def test_a_path_finds_its_route_and_parts(method, path, template, params):
    body, parts = found(router(), method, path)
    assert (body, parts) == (f"{template} {sorted(params.items())}", params)


@pytest.mark.parametrize(
    "path", ["/xms", "/xms/v1/p", "/xms/v1//batches", "/xms/v1/p/batches//", "//", "/livez/x", "*", "", "a", "/LIVEZ"]
)
def test_other_paths_are_not_found(path):
    assert router().resolve("GET", path) == NoPath()


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/xms/v1/p/batches", ("GET", "HEAD", "POST")),
        ("GET", "/xms/v1/p/batches/dry_run", ("POST",)),
        ("POST", "/livez", ("GET", "HEAD")),
    ],
)
def test_another_method_is_told_which_are_allowed(method, path, allow):
    assert router().resolve(method, path) == NoMethod(allow)
    answer = router()(Request(method, path, path))
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers) == (405, (("Allow", ", ".join(allow)),))


def test_a_trailing_slash_counts_when_told_so():
    assert router(trailing_slash=False).resolve("GET", "/livez/") == NoPath()


def test_the_handler_gets_the_request_and_its_parts():
    built = Router()
    built.add("GET", "/a/{b}", lambda request, b: Response(200, f"{request.method} {b}".encode()))
    answer = built(Request("GET", "/a/1", "/a/1"))
    assert isinstance(answer, Response)
    assert answer.body == b"GET 1"


def test_the_refusals_can_be_worded_by_others():
    built = router(
        not_found=lambda request: Response(401), not_allowed=lambda request, allow: Response(418, repr(allow).encode())
    )
    not_found, not_allowed = built(Request("GET", "/x", "/x")), built(Request("PUT", "/livez", "/livez"))
    assert isinstance(not_found, Response)
    assert isinstance(not_allowed, Response)
    assert (not_found.status, not_allowed.status, not_allowed.body) == (401, 418, b"('GET', 'HEAD')")


@pytest.mark.parametrize("template", ["a", "", "/{a}/{a}", "/{rest:path}/x"])
def test_templates_that_make_no_sense_are_refused(template):
    with pytest.raises(ValueError, match="route"):
        Router().add("GET", template, lambda request: Response(200))


def test_the_same_route_twice_is_refused():
    built = Router()
    built.add("GET", "/a/{b}", lambda request: Response(200))
    with pytest.raises(ValueError, match="there already"):
        built.add("GET", "/a/{c}", lambda request: Response(200))


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ("", {}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
        ("a=&b", {"a": [""], "b": [""]}),
        ("a=x+y%2Bz", {"a": ["x y+z"]}),
        (
            "start_date=2031-03-09T05:06:43.180Z&status=Queued,Delivered",
            {"start_date": ["2031-03-09T05:06:43.180Z"], "status": ["Queued,Delivered"]},
        ),
        ("code=0%2C11", {"code": ["0,11"]}),
        ("r=%C3%A5&bad=%FF&half=%4", {"r": ["å"], "bad": ["�"], "half": ["%4"]}),
        ("a=b=c&;=d", {"a": ["b=c"], ";": ["d"]}),
        ("&&=", {"": [""]}),
    ],
)
def test_queries_are_read(raw, fields):
    assert parse_query(raw) == fields
