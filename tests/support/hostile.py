"""Hostile callback URLs as data: taken at its word, each would reach this machine or a neighbour of it (P19).

``{port}`` stands for the canaries' port. Hosts are written in every way that some reader of URLs or addresses takes:
spellings times targets. ``MISREAD`` are URLs whose host two readers disagree about, and schemes that are none of ours.
``NAMES`` are names with the addresses that a resolver gives for them.
"""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final

__all__ = ["DEFUSED", "HOSTILE", "LITERALS", "LOOPBACK", "MISREAD", "NAMES"]

# What a customer's URL must not reach: this machine, what carriers and clouds keep inside, a neighbour.
TARGETS: Final = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",  # cloud metadata
    "172.16.0.1",
    "192.168.1.1",
)


def _octets(address: str) -> list[int]:
    return [int(octet) for octet in address.split(".")]


def _fullwidth(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if char.isdigit() else char for char in text)


def _circled(text: str) -> str:
    return "".join("⓪①②③④⑤⑥⑦⑧⑨"[int(char)] if char.isdigit() else char for char in text)


def _subscript(text: str) -> str:
    return "".join(chr(0x2080 + int(char)) if char.isdigit() else char for char in text)


SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "as it is": lambda a: a,
    "with a dot at the end": lambda a: f"{a}.",
    "one decimal number": lambda a: str(int(IPv4Address(a))),
    "one hexadecimal number": lambda a: f"0x{int(IPv4Address(a)):08x}",
    "one in capitals": lambda a: f"0X{int(IPv4Address(a)):08X}",
    "one octal number": lambda a: f"0{int(IPv4Address(a)):o}",
    "octal octets": lambda a: ".".join(f"0{octet:o}" for octet in _octets(a)),
    "octal octets with many zeros": lambda a: ".".join(f"0000000{octet:o}" for octet in _octets(a)),
    "hexadecimal octets": lambda a: ".".join(f"0x{octet:x}" for octet in _octets(a)),
    "a mixture": lambda a: "0x{:x}.0{:o}.{}.0X{:X}".format(*_octets(a)),
    "two parts": lambda a: f"{_octets(a)[0]}.{int(IPv4Address(a)) & 0xFFFFFF}",
    "two parts in hexadecimal": lambda a: f"0x{_octets(a)[0]:x}.0x{int(IPv4Address(a)) & 0xFFFFFF:x}",
    "three parts": lambda a: "{}.{}.{}".format(*_octets(a)[:2], int(IPv4Address(a)) & 0xFFFF),
    "full-width digits": _fullwidth,
    "digits in circles": _circled,
    "digits below the line": _subscript,
    "ideographic full stops": lambda a: a.replace(".", "。"),
    "half-width full stops": lambda a: a.replace(".", "｡"),
    "mapped into IPv6": lambda a: f"[::ffff:{a}]",
    "mapped, in hexadecimal": lambda a: "[::FFFF:{:02x}{:02x}:{:02x}{:02x}]".format(*_octets(a)),
    "mapped, written out": lambda a: f"[0:0:0:0:0:ffff:{a}]",
    "compatible IPv6": lambda a: f"[::{a}]",
    "translated IPv6": lambda a: f"[::ffff:0:{a}]",
    "NAT64": lambda a: f"[64:ff9b::{a}]",
    "NAT64 of one's own": lambda a: "[64:ff9b:1::{:02x}{:02x}:{:02x}{:02x}]".format(*_octets(a)),
    "6to4": lambda a: "[2002:{:02x}{:02x}:{:02x}{:02x}::1]".format(*_octets(a)),
    "Teredo": lambda a: "[2001:0:4136:e378:8000:63bf:{:02x}{:02x}:{:02x}{:02x}]".format(*(o ^ 255 for o in _octets(a))),
}

OTHER_HOSTS: Final = (
    "127.1",
    "127.0.1",
    "0",
    "0x0",
    "00",
    "0.0",
    "0x7f.1",
    "017700000001",
    "[::1]",
    "[::0001]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[0::0]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fe80::5efe:127.0.0.1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",  # a cloud's metadata over IPv6
    "[fd12:3456:789a::1]",
    "[ff02::1]",
    "[ff05::2]",
    "[2001:db8::1]",
    "[2001:10::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[100::1]",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "ⓛocalhost",
    "ｌｏｃａｌｈｏｓｔ",
    "ˡocalhost",
    "loc\u00adalhost",  # a soft hyphen, which IDNA drops
)

LITERALS: Final = tuple(
    dict.fromkeys(
        f"http://{host}:{{port}}/dlr"
        for host in (*(spell(target) for spell in SPELLINGS.values() for target in TARGETS), *OTHER_HOSTS)
    )
)
"""A host that is an address, or a name of this machine, in every spelling."""

LOOPBACK: Final = tuple(
    f"http://{SPELLINGS[name]('127.0.0.1')}:{{port}}/dlr"
    for name in ("as it is", "one decimal number", "one hexadecimal number", "octal octets", "two parts", "a mixture")
)
"""Some of them that reach a canary on this machine when they are allowed: the canaries do see."""

MISREAD: Final = (
    # user information
    "http://public.example@127.0.0.1:{port}/",
    "http://public.example:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@public.example/",
    "http://@127.0.0.1:{port}/",
    "http://:@127.0.0.1:{port}/",
    "http://a@b@127.0.0.1:{port}/",
    "http://public.example%40127.0.0.1:{port}/",
    "http://public.example@[::1]:{port}/",
    # backslashes, fragments and queries before the path
    "http://127.0.0.1:{port}\\@public.example/",
    "http://public.example\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:/\\127.0.0.1:{port}/",
    "http://public.example;@127.0.0.1:{port}/",
    "http://public.example,127.0.0.1:{port}/",
    "http://public.example|127.0.0.1:{port}/",
    # ports
    "http://127.0.0.1:{port}:80/",
    "http://public.example:80:{port}/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:-{port}/",
    "http://127.0.0.1:+{port}/",
    "http://127.0.0.1: {port}/",
    "http://127.0.0.1:{port}a/",
    "http://127.0.0.1:0x1F90/",
    "http://127.0.0.1:99999999999999999999/",
    # percent signs, NULs, spaces, line ends
    "http://127.0.0.1%00.public.example:{port}/",
    "http://127.0.0.1%2f.public.example:{port}/",
    "http://127.0.0.1%23.public.example:{port}/",
    "http://127.0.0.1%0d%0a.public.example:{port}/",
    "http://%6c%6f%63%61%6c%68%6f%73%74:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://127.0.0.1\x00:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\n:{port}/",
    "http://127.0.0.1\r\n:{port}/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1\u3000:{port}/",
    "http://127.0.0.1\u200b:{port}/\ud800",
    " http://127.0.0.1:{port}/",
    "\thttp://127.0.0.1:{port}/",
    "\x00http://127.0.0.1:{port}/",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nHost: public.example",
    "http://127.0.0.1:{port}/ HTTP/1.1\r\nX-Injected: yes\r\n\r\n",
    "http://127.0.0.1:{port}/?q=\nGET",
    # slashes
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "/127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "?http://127.0.0.1:{port}/",
    "http://",
    "http://:{port}/",
    "http://.:{port}/",
    "http://..:{port}/",
    "http://127.0.0..1:{port}/",
    "http://127.0.0.1..:{port}/",
    "http://*.127.0.0.1:{port}/",
    "http://-127.0.0.1:{port}/",
    # brackets and zones
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fe80::1%25eth0]:{port}/",
    "http://[::1%251]:{port}/",
    "http://[::1]x:{port}/",
    "http://x[::1]:{port}/",
    "http://[[::1]]:{port}/",
    "http://[::1:{port}/",
    "http://::1:{port}/",
    "http://::1]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[v1.127.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1.]:{port}/",
    "http://[::1]@public.example:{port}/",
    "http://[public.example]:{port}/",
    # schemes
    "HTTPX://127.0.0.1:{port}/",
    "h\u0442tp://127.0.0.1:{port}/",  # a Cyrillic letter
    "ftp://127.0.0.1:{port}/",
    "tftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_POST",
    "dict://127.0.0.1:{port}/",
    "ldap://127.0.0.1:{port}/",
    "smb://127.0.0.1:{port}/",
    "ssh://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "wss://127.0.0.1:{port}/",
    "redis://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "jar:http://127.0.0.1:{port}/!/",
    "url:http://127.0.0.1:{port}/",
    "view-source:http://127.0.0.1:{port}/",
    "data:text/plain,http://127.0.0.1:{port}/",
    "javascript:fetch('http://127.0.0.1:{port}/')",
    # length
    "http://" + "a" * 254 + ".example:{port}/",
    "http://" + "a." * 4096 + "example:{port}/",
    "http://127.0.0.1:{port}/" + "a" * 9_000,
    "http://127.0.0.1:" + "0" * 9_000 + "{port}/",
    "http://[" + "0:" * 4_000 + "1]:{port}/",
    "http://" + "å" * 100 + ".example:{port}/",
    # names that IDNA cannot have
    "http://xn--:{port}/",
    "http://a\u0338b\ud800.example:{port}/",
    "http://\u2488\u2489.example:{port}/\ud800",
)

DEFUSED: Final = (
    "http://public.example#@127.0.0.1:{port}/",
    "http://public.example?@127.0.0.1:{port}/",
    "http://public.example/@127.0.0.1:{port}/",
    "http://public.example?q=http://127.0.0.1:{port}/",
)
"""Others may read 127.0.0.1 in them; for us the host is public.example, wherever it is saved and whoever posts."""

# Names that a resolver answers for as their owner likes; the name itself looks harmless.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "loopback.example": ("127.0.0.1",),
    "loopback-six.example": ("::1",),
    "any.example": ("0.0.0.0",),
    "any-six.example": ("::",),
    "mapped.example": ("::ffff:127.0.0.1",),
    "compatible.example": ("::127.0.0.1",),
    "nat64.example": ("64:ff9b::7f00:1",),
    "sixtofour.example": ("2002:7f00:1::",),
    "teredo.example": ("2001:0:7f00:1::",),
    "metadata.example": ("169.254.169.254",),
    "metadata-six.example": ("fd00:ec2::254",),
    "private.example": ("10.0.0.1", "172.16.0.1", "192.168.0.1"),
    "carrier.example": ("100.64.0.1",),
    "zone.example": ("fe80::1%lo",),
    "all-of-us.example": ("127.0.0.1", "::1", "127.0.0.2"),
    "odd.example": ("127.0.0.1:80", "nonsense", ""),
    "hex.example": ("0x7f000001", "2130706433"),
    "nobody.example": (),
    "wildcard.127.0.0.1.nip.example": ("127.0.0.1",),
    "localhost.localdomain": ("127.0.0.1", "::1"),
    "127.0.0.1.public.example": ("127.0.0.1",),
    "xn--bcher-kva.example": ("127.0.0.2",),
    "bücher.example": ("127.0.0.2",),
}

HOSTILE: Final = (*LITERALS, *MISREAD, *DEFUSED, *(f"http://{name}:{{port}}/dlr" for name in NAMES))
