"""Which URLs and addresses a callback may go to (P19)."""

from ipaddress import ip_address

import pytest

from kvitto.callbacks.addresses import FORBIDDEN, AddressPolicy

STRICT = AddressPolicy()
PRIVATE = AddressPolicy(allow_private=True)

FORBIDDEN_ADDRESSES = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
    "127.0.0.1:80",
    "0x7f.1",
    "2130706433",
]

PUBLIC_ADDRESSES = ["8.8.8.8", "1.1.1.1", "9.255.255.255", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1"]
PUBLIC_ADDRESSES += [
    "192.0.1.1",
    "198.17.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:4860:4860::8888",
]

OWN_NETWORKS = ["10.0.0.1", "100.64.0.1", "127.0.0.1", "172.16.0.1", "192.168.0.1", "::1", "fd12::1"]


@pytest.mark.parametrize("address", FORBIDDEN_ADDRESSES)
def test_special_addresses_are_refused(address):
    assert not STRICT.permits(address)
    assert STRICT.objection(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_addresses_are_permitted(address):
    assert STRICT.permits(address)
    assert STRICT.permits(ip_address(address))
    assert STRICT.objection(address) is None


@pytest.mark.parametrize("address", sorted(set(FORBIDDEN_ADDRESSES) - set(OWN_NETWORKS)))
def test_the_demo_setting_opens_own_networks_and_nothing_else(address):
    own = address in ("10.255.255.255", "100.127.255.255", "127.1.2.3", "172.31.255.255", "fc00::1", "fd12:3456::1")
    assert PRIVATE.permits(address) is own


@pytest.mark.parametrize("address", OWN_NETWORKS)
def test_the_demo_setting_opens_own_networks(address):
    assert PRIVATE.permits(address)


@pytest.mark.parametrize("row", FORBIDDEN, ids=lambda row: str(row.network))
def test_each_range_is_refused_from_its_first_to_its_last_address(row):
    for address in (row.network.network_address, row.network.broadcast_address):
        assert not STRICT.permits(address)


@pytest.mark.parametrize(
    ("allow", "address", "permitted"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.0/8", "::ffff:127.0.0.1", False),
        ("127.0.0.0/8", "64:ff9b::7f00:1", False),
        ("::ffff:127.0.0.0/104", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "::1", False),
        ("::1", "::1", True),
        ("169.254.169.254", "169.254.169.254", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("0.0.0.0/0", "10.2.0.1", True),
        ("127.0.0.0/8", "8.8.8.8", True),
    ],
)
def test_the_allow_list_opens_exactly_what_it_names(allow, address, permitted):
    assert AddressPolicy.of([allow]).permits(address) is permitted


def test_policies_of_the_same_content_are_the_same_key():
    one, other = AddressPolicy.of(["10.0.0.0/8", "::1"]), AddressPolicy.of(["10.0.0.0/8", "::1/128"])
    assert one == other
    assert len({one, other, STRICT, PRIVATE}) == 3


def test_a_wrong_network_is_named():
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        AddressPolicy.of(["10.0.0.1/8"])
