"""Which IPv6 address a namespace sends from, and which one REDIRECT takes: RFC 6724 as Linux reads it."""

from dataclasses import replace

import pytest
from linux_samples import LO, device, span

from bothways.facts.address import address
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.snapshot import Netns
from bothways.model.linux.addresses import redirected, select


def held(text: str, *flags: str) -> InterfaceAddress:
    host, _, prefix = text.partition("/")
    return InterfaceAddress(address(host), int(prefix), span(text), flags=frozenset(flags))


def with_addresses(name: str, number: int, *addresses: InterfaceAddress) -> Device:
    return replace(device(name, number=number), addresses=addresses)


OUT = with_addresses(
    "out0",
    2,
    held("2001:db8:1::1/64"),
    held("2001:db8:1::2/64", "deprecated"),
    held("fd00:1::1/64"),
    held("fe80::1/64"),
)
IN = with_addresses("in0", 3, held("2001:db8:2::1/64"), held("2002:c000:201::1/48"), held("fe80::2/64"))


def chosen(name: str, toward: str, *devices: Device) -> str:
    space = Netns("host", "blue", devices=Dump((LO, *(devices or (OUT, IN))), "addr"))
    return str(select(space, name, address(toward)))


@pytest.mark.parametrize(
    ("name", "toward", "expected"),
    [
        ("out0", "2001:db8:1::1", "2001:db8:1::1"),  # the destination itself
        ("in0", "2001:db8:1::1", "2001:db8:1::1"),
        ("out0", "2001:db8:9::9", "2001:db8:1::1"),  # not deprecated, of the device
        ("in0", "2001:db8:9::9", "2001:db8:2::1"),
        ("out0", "fe80::9", "fe80::1"),  # the scope of the link, of the device alone
        ("in0", "fe80::9", "fe80::2"),
        ("out0", "ff02::1", "fe80::1"),
        ("out0", "fd00:9::9", "fd00:1::1"),  # the label
        ("in0", "2002:c000:202::1", "2002:c000:201::1"),
        ("in0", "fd00:9::9", "2001:db8:2::1"),  # the device outranks the label
    ],
)
def test_the_rules_in_their_order(name: str, toward: str, expected: str) -> None:
    assert chosen(name, toward) == expected


def test_a_device_without_an_address_lends_from_another() -> None:
    assert chosen("bare", "2001:db8:9::9", device("bare", number=9), OUT) == "2001:db8:1::1"
    assert chosen("bare", "fe80::9", device("bare", number=9), OUT) == "None"


def test_the_longest_common_prefix_decides_between_equals() -> None:
    many = with_addresses("out0", 2, held("2001:db8:1::1/64"), held("2001:db8:ff00::1/64"))

    assert chosen("out0", "2001:db8:ff01::9", many) == "2001:db8:ff00::1"
    assert chosen("out0", "2001:db8:1:5::9", many) == "2001:db8:1::1"


@pytest.mark.parametrize("flag", ["tentative", "dadfailed"])
def test_an_address_that_is_not_used_yet_does_not_count(flag: str) -> None:
    fresh = with_addresses("out0", 2, held("2001:db8:1::1/64", flag), held("2001:db8:5::1/64"))

    assert chosen("out0", "2001:db8:1::9", fresh) == "2001:db8:5::1"
    assert str(redirected(fresh, address("2001:db8:1::1"))) == "2001:db8:5::1"


def test_redirect_takes_the_first_address_of_the_kind() -> None:
    assert str(redirected(OUT, address("2001:db8:7::1"))) == "2001:db8:1::1"
    assert str(redirected(OUT, address("fe80::7"))) == "fe80::1"
    assert redirected(OUT, address("192.0.2.1")) is None
