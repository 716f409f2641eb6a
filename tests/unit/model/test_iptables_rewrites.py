"""Targets that write into the header, as the kernel writes."""

from __future__ import annotations

import pytest

from bothways.facts.address import address
from bothways.facts.iptables import Target
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp, TcpOptions
from bothways.model.linux.iptables.rewrites import REWRITES, masked, with_mss


def packet(
    *, tos: int | None = 0, ttl: int = 64, mss: int | None = None, flags: Flag = Flag.SYN, length: int = 0
) -> Packet:
    ip = Ip(address("192.0.2.1"), address("198.51.100.2"), TCP, ttl=ttl, tos=tos)
    options = TcpOptions(mss=mss, size=0 if mss is None else 4)
    return Packet(Ethernet(), ip=ip, tcp=Tcp(1, 2, flags, 7, 0, 100, length, options), length=54)


@pytest.mark.parametrize(
    ("target", "options", "before", "after"),
    [
        ("DSCP", {"set-dscp": 0x2E}, 0x01, 0xB9),
        ("DSCP", {"set-dscp-class": "af11"}, 0x00, 0x28),
        ("DSCP", {"set-dscp-class": "CS1"}, 0xFF, 0x23),
        ("DSCP", {"set-dscp": 0}, 0xB8, 0x00),
        ("TOS", {"set-tos": "0x10/0x3f"}, 0x28, 0x10),
        ("TOS", {"set-tos": "0x10/0x3f"}, 0xC1, 0xD0),
        ("TOS", {"set-tos": "Minimize-Cost"}, 0x00, 0x02),
        ("TOS", {"and-tos": "0x10"}, 0x18, 0x10),
        ("TOS", {"or-tos": "0x01"}, 0x10, 0x11),
        ("TOS", {"xor-tos": "0x11"}, 0x10, 0x01),
    ],
)
def test_the_type_of_service_is_written(
    target: str, options: dict[str, object], before: int, after: int
) -> None:
    made = REWRITES[target](packet(tos=before), Target(target, options))

    assert made is not None
    assert made[0].ip is not None
    assert made[0].ip.tos == after


@pytest.mark.parametrize(
    ("target", "options", "before", "after"),
    [
        ("TTL", {"ttl-set": 5}, 64, 5),
        ("TTL", {"ttl-dec": 3}, 2, 0),
        ("TTL", {"ttl-inc": 3}, 254, 255),
        ("HL", {"hl-dec": 1}, 64, 63),
    ],
)
def test_hops_stay_in_an_octet(target: str, options: dict[str, object], before: int, after: int) -> None:
    made = REWRITES[target](packet(ttl=before), Target(target, options))

    assert made is not None
    assert made[0].ip is not None
    assert made[0].ip.ttl == after


@pytest.mark.parametrize(
    ("target", "options", "given"),
    [
        ("TTL", {"ttl-set": 64}, packet()),
        ("DSCP", {"set-dscp": 1}, packet(tos=None)),
        ("DSCP", {"set-dscp": 0}, packet(tos=2)),
        ("TOS", {"set-tos": "what"}, packet()),
        ("ECN", {"ecn-tcp-remove": True}, packet()),
        ("TCPMSS", {"set-mss": 1460}, packet(mss=1000)),
        ("TCPMSS", {"set-mss": 1000}, packet(length=4)),
        ("TCPMSS", {}, packet()),
    ],
)
def test_what_changes_nothing_is_no_step(target: str, options: dict[str, object], given: Packet) -> None:
    assert REWRITES[target](given, Target(target, options)) is None


def test_ecn_leaves_the_other_flags() -> None:
    made = REWRITES["ECN"](
        packet(flags=Flag.SYN | Flag.ECE | Flag.CWR), Target("ECN", {"ecn-tcp-remove": True})
    )

    assert made is not None
    assert made[0].tcp is not None
    assert made[0].tcp.flags == Flag.SYN


def test_an_mss_is_lowered_or_added() -> None:
    lowered, added = with_mss(packet(mss=1460), 1000), with_mss(packet(), 1000)

    assert lowered is not None
    assert lowered[0].tcp is not None
    assert (lowered[0].tcp.options.mss, lowered[0].length) == (1000, 54)
    assert added is not None
    assert added[0].tcp is not None
    assert (added[0].tcp.options.mss, added[0].length) == (536, 58)


@pytest.mark.parametrize(
    ("text", "pair"), [("0x10/0x3f", (16, 63)), ("40", (40, 255)), ("", None), ("0x", None), (5, None)]
)
def test_values_with_masks_are_read(text: object, pair: tuple[int, int] | None) -> None:
    assert masked(text) == pair
