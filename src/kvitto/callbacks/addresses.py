"""Where a callback may go: which addresses we connect to.

No name is resolved here. A customer chooses the URL, so it is hostile until shown otherwise. The defence has two
halves. ``kvitto.core.urls`` refuses what is not plainly ``http(s)://host[:port]/path``, so that no two readers of a URL
can disagree about its host. ``AddressPolicy`` judges the address that the host has been resolved to, and
``callbacks.post`` connects to that address and to no other: how a host is written (decimal, octal, hexadecimal, a name,
full-width digits) therefore does not matter, and a name that changes its answer in between gains nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton
from typing import NamedTuple

from kvitto.core.urls import BadUrl, parse_target

__all__ = ["FORBIDDEN", "AddressPolicy", "judge_url", "url_objection"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Range(NamedTuple):
    """A block of addresses that no callback goes to, unless allowed."""

    network: Network
    kind: str
    private: bool
    """An operator's own network, which ``allow_private`` opens."""


def _range(network: str, kind: str, private: bool = False) -> Range:
    return Range(ip_network(network), kind, private)


# IANA's special-purpose registries, as far as an address there is not an ordinary public one. What carries an IPv4
# address inside an IPv6 one is refused whole: a gateway would unpack it past our judgement.
FORBIDDEN: tuple[Range, ...] = (
    _range("0.0.0.0/8", "this network"),
    _range("10.0.0.0/8", "private", private=True),
    _range("100.64.0.0/10", "carrier-grade NAT", private=True),
    _range("127.0.0.0/8", "loopback", private=True),
    _range("169.254.0.0/16", "link-local"),  # cloud metadata services live at 169.254.169.254
    _range("172.16.0.0/12", "private", private=True),
    _range("192.0.0.0/24", "protocol assignments"),
    _range("192.0.2.0/24", "documentation"),
    _range("192.88.99.0/24", "6to4 relay"),
    _range("192.168.0.0/16", "private", private=True),
    _range("198.18.0.0/15", "benchmarking"),
    _range("198.51.100.0/24", "documentation"),
    _range("203.0.113.0/24", "documentation"),
    _range("224.0.0.0/4", "multicast"),
    _range("240.0.0.0/4", "reserved or broadcast"),
    _range("::/128", "unspecified"),
    _range("::1/128", "loopback", private=True),
    _range("::ffff:0:0/96", "IPv4-mapped"),
    _range("64:ff9b::/96", "NAT64"),
    _range("64:ff9b:1::/48", "NAT64"),
    _range("2001::/32", "Teredo"),
    _range("2001::/23", "protocol assignments"),
    _range("2001:db8::/32", "documentation"),
    _range("2002::/16", "6to4"),
    _range("3fff::/20", "documentation"),
    _range("fc00::/7", "unique local", private=True),
    _range("fe80::/10", "link-local"),
    _range("fec0::/10", "site-local"),
    _range("ff00::/8", "multicast"),
)

# All other global unicast IPv6 is inside this block; what is outside is not assigned to anybody.
GLOBAL_UNICAST = IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """Which addresses an account's callbacks may go to.

    Every public address; with ``allow_private`` also loopback, private, unique local and carrier-grade NAT addresses
    (the demo setting); and whatever is in ``allow`` (the account's list), which opens anything, link-local included.
    An entry opens exactly the addresses it names: an IPv4 network does not open their IPv4-mapped spelling.
    """

    allow: tuple[Network, ...] = ()
    allow_private: bool = False
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # The policy is part of a pool's key and hashed for every callback; networks are slow to hash.
        object.__setattr__(self, "_hash", hash((self.allow, self.allow_private)))

    def __hash__(self) -> int:
        return self._hash

    @classmethod
    def of(cls, allow: Iterable[str], *, allow_private: bool = False) -> "AddressPolicy":
        """A policy from networks as text ("10.1.0.0/16", "::1"). Raises: ValueError naming the wrong one."""
        return cls(allow=tuple(ip_network(network) for network in allow), allow_private=allow_private)

    def permits(self, address: str | Address) -> bool:
        """May we connect there? False for what is no address."""
        return self.objection(address) is None

    def objection(self, address: str | Address) -> str | None:
        """The kind of address that is forbidden here ("loopback"), or None when it is permitted."""
        try:
            # With a zone ("fe80::1%eth0") it can only be link-local; ipaddress keeps the zone, membership ignores it.
            ip = ip_address(address)
        except ValueError:
            return "not an address"
        if any(ip in network for network in self.allow):
            return None
        for network, kind, private in FORBIDDEN:
            if ip in network:
                return None if private and self.allow_private else kind
        if isinstance(ip, IPv6Address) and ip not in GLOBAL_UNICAST:
            return "reserved"
        return None


def url_objection(url: str, policy: AddressPolicy) -> str | None:
    """Say in words why a callback URL is not to be saved; None when it may be. The words do not repeat it.

    Its form is judged, and its host where that is an address, however it is written, or this machine's own name. What
    other names stand for is judged whenever a connection is opened: their owners may change it at any time.
    """
    target = parse_target(url)
    if isinstance(target, BadUrl):
        return target.reason
    if target.host == "localhost" or target.host.endswith(".localhost"):
        addresses: list[str | Address] = ["127.0.0.1", "::1"]
    else:
        literal = _literal(target.host)
        if literal is None:
            return None
        addresses = [literal]
    objections = [policy.objection(address) for address in addresses]
    if None in objections:
        return None
    return f"no permitted address: {objections[0]}; the account's allow_callbacks_to can permit it"


def judge_url(url: str, allow: Iterable[str], *, allow_private: bool) -> str | None:
    """As ``url_objection``, with the networks that are open as text. Raises: ValueError naming the wrong one."""
    return url_objection(url, AddressPolicy.of(allow, allow_private=allow_private))


def _literal(host: str) -> Address | None:
    """The address that a host is, in any spelling that the system's resolver takes; None when it is a name."""
    if ":" in host:
        return IPv6Address(host)
    try:
        return IPv4Address(inet_aton(host))
    except OSError:
        return None
