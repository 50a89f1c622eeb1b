"""Which callback URLs we understand (P19)."""

import pytest

from kvitto.core.urls import BadUrl, Target, parse_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://a.example", Target("http", "a.example", 80, b"/", b"a.example")),
        ("https://a.example/", Target("https", "a.example", 443, b"/", b"a.example")),
        ("HTTP://A.Example:80/Path?Q=1#f", Target("http", "a.example", 80, b"/Path?Q=1", b"a.example")),
        ("https://a.example:80/x", Target("https", "a.example", 80, b"/x", b"a.example:80")),
        ("http://a.example:8080", Target("http", "a.example", 8080, b"/", b"a.example:8080")),
        ("http://a.example:", Target("http", "a.example", 80, b"/", b"a.example")),
        ("http://a.example?x", Target("http", "a.example", 80, b"/?x", b"a.example")),
        ("http://a.example./x", Target("http", "a.example", 80, b"/x", b"a.example")),
        ("http://[::1]:9000/x", Target("http", "::1", 9000, b"/x", b"[::1]:9000")),
        ("http://[2001:DB8::0001]/", Target("http", "2001:db8::1", 80, b"/", b"[2001:db8::1]")),
        ("http://10.0.0.1/", Target("http", "10.0.0.1", 80, b"/", b"10.0.0.1")),
        ("http://2130706433/", Target("http", "2130706433", 80, b"/", b"2130706433")),
        (
            "http://bücher.example/ü?q=å%20",
            Target("http", "xn--bcher-kva.example", 80, b"/%C3%BC?q=%C3%A5%20", b"xn--bcher-kva.example"),
        ),
        ("http://a_b.example/", Target("http", "a_b.example", 80, b"/", b"a_b.example")),
        ('http://a.example/{"x"}', Target("http", "a.example", 80, b"/%7B%22x%22%7D", b"a.example")),
    ],
)
def test_urls_are_taken_apart(url, target):
    assert parse_target(url) == target


BAD_URLS = [
    "",
    "a.example",
    "//a.example/",
    "/dlr",
    "ftp://a.example/",
    "file:///etc/passwd",
    "gopher://a.example/",
    "javascript:alert(1)",
    "http:a.example",
    "http:///dlr",
    "http://",
    "http://?x",
    "http://:80/",
    "http://user@a.example/",
    "http://user:password@a.example/",
    "http://@a.example/",
    "http://a.example@127.0.0.1/",
    "http://a.example\\@127.0.0.1/",
    "http://127.0.0.1\\.a.example/",
    "http://a.example:0/",
    "http://a.example:65536/",
    "http://a.example:-1/",
    "http://a.example:8o/",
    "http://a.example:80:80/",
    "http://a b/",
    "http://a.example/\r\nX: y",
    "http://a.example/x\ty",
    "http://a.example\n/",
    " http://a.example/",
    "http://a.example/\x00",
    "http://%31%32%37.0.0.1/",
    "http://a%00.example/",
    "http://[::1/",
    "http://::1/",
    "http://[::1]x/",
    "http://[::]]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[v1.x]/",
    "http://[127.0.0.1]/",
    "http://a..example/",
    "http://.a.example/",
    "http://-a/",
    "http://a,b/",
    "http://a;b/",
    "http://a*b/",
    "http://" + "a" * 255 + "/",
    "http://" + "å" * 100 + ".example/",
    "http://xn--/",
    "http://a.example/\ud800",
    "http://\ud800.example/",
    "http://a.example/" + "a" * 9000,
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_are_not_plain_are_refused_without_being_repeated(url):
    answer = parse_target(url)
    assert isinstance(answer, BadUrl), answer
    assert answer.reason
    assert "a.example" not in answer.reason
