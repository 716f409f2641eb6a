"""Headers, read from bytes as a kernel probe fetches them; and terms of filters on them."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe.match import Matcher
from bothways.trace.probe.packet import Packet, ether_packet, identity, ip_packet


def ipv4(protocol: int, payload: bytes, *, ip_id: int = 7, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ip_id, fragment, 63, protocol, 0)
    return head + socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.2") + payload


def ipv6(following: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, 64)
    ends = (socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2"))
    return head + b"".join(ends) + payload


def tcp(flags: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 22, 1000, 2000, 5 << 4, flags, 512, 0, 0) + data


def udp(port: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", 50000, port, 8 + len(data), 0) + data


def ether(kind: int, data: bytes, tags: bytes = b"") -> bytes:
    return b"\x02" * 12 + tags + struct.pack("!H", kind) + data


def some(packet: Packet | None, *names: str) -> list[object]:
    assert packet is not None
    return [packet.get(name) for name in names]


def test_a_segment_of_ipv4() -> None:
    packet = ip_packet(ipv4(6, tcp(0x18, b"hello")))
    assert packet == {
        "family": 4,
        "protocol": "tcp",
        "source": "192.0.2.1",
        "source_port": 40000,
        "destination": "198.51.100.2",
        "destination_port": 22,
        "flags": "P.",
        "seq": 1000,
        "ack": 2000,
        "window": 512,
        "ip_id": 7,
        "ttl": 63,
        "length": 45,
        "icmp_type": None,
        "icmp_code": None,
        "quoted": None,
        "vni": None,
        "inner": None,
        "payload": 5,
    }


@pytest.mark.parametrize(
    ("flags", "letters"),
    [(2, "S"), (0x12, "S."), (4, "R"), (0x14, "R."), (0x10, "."), (0, "none"), (0xFF, "FSRPUEW.")],
)
def test_flags_are_written_as_tcpdump_does(flags: int, letters: str) -> None:
    assert some(ip_packet(ipv4(6, tcp(flags))), "flags") == [letters]


@pytest.mark.parametrize(
    ("data", "names", "values"),
    [
        (ipv4(17, udp(53, b"q" * 12)), ("protocol", "destination_port", "payload"), ["udp", 53, 12]),
        (ipv4(1, b"\x08\x00\0\0"), ("protocol", "icmp_type", "icmp_code", "quoted"), ["icmp", 8, 0, None]),
        (ipv4(6, tcp(2), fragment=100), ("protocol", "source_port", "flags"), ["tcp", None, None]),
        (ipv4(6, tcp(2)[:8]), ("source_port", "seq", "flags"), [40000, 1000, None]),
        (ipv4(89, b""), ("protocol", "source_port"), ["89", None]),
        (ipv6(6, tcp(2)), ("family", "protocol", "destination", "length"), [6, "tcp", "2001:db8::2", 60]),
        # hop-by-hop options, then a first fragment, then TCP
        (
            ipv6(0, b"\x2c\0" + b"\0" * 6 + struct.pack("!BBHI", 6, 0, 1, 0x10007) + tcp(2, b"abc")),
            ("protocol", "flags", "ip_id", "payload"),
            ["tcp", "S", 7, 3],
        ),
        # a later fragment shows no ports
        (ipv6(44, struct.pack("!BBHI", 6, 0, 8, 7) + tcp(2)), ("protocol", "source_port"), ["tcp", None]),
    ],
)
def test_headers_of_other_kinds(data: bytes, names: tuple[str, ...], values: list[object]) -> None:
    assert some(ip_packet(data), *names) == values


def test_an_error_quotes_the_packet_that_it_answers() -> None:
    packet = ip_packet(ipv4(1, b"\x03\x01\0\0\0\0\0\0" + ipv4(6, tcp(2))[:28]))
    assert packet is not None
    quoted = packet["quoted"]
    assert isinstance(quoted, dict)
    assert some(quoted, "source_port", "destination_port", "seq", "flags") == [40000, 22, 1000, None]


@pytest.mark.parametrize(
    "outer",
    [
        ipv4(17, udp(4789, struct.pack("!II", 0x08000000, 42 << 8) + ether(0x0800, ipv4(6, tcp(2))))),
        ipv4(17, udp(8472, struct.pack("!II", 0x08000000, 42 << 8) + ether(0x0800, ipv4(6, tcp(2))))),
        ipv4(
            17,
            udp(
                6081, struct.pack("!BBHI", 1, 0, 0x6558, 42 << 8) + b"\0" * 4 + ether(0x0800, ipv4(6, tcp(2)))
            ),
        ),
    ],
)
def test_the_packet_in_a_tunnel_is_read(outer: bytes) -> None:
    packet = ip_packet(outer)
    assert packet is not None
    inner = packet["inner"]
    assert isinstance(inner, dict)
    assert packet["vni"] == 42
    assert some(inner, "protocol", "flags", "destination_port") == ["tcp", "S", 22]


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (ether(0x0800, ipv4(6, tcp(2))), True),
        (ether(0x0800, ipv4(6, tcp(2)), b"\x81\0\0\x05"), True),
        (ether(0x0800, ipv4(6, tcp(2)), b"\x88\xa8\0\x05\x81\0\0\x06"), True),
        (ether(0x0806, b"\0" * 28), False),
        (b"\x02" * 13, False),
    ],
)
def test_a_frame_may_have_tags(frame: bytes, *, found: bool) -> None:
    assert (ether_packet(frame) is not None) == found


def test_translation_does_not_change_identity() -> None:
    first = ip_packet(ipv4(6, tcp(2)))
    second = ip_packet(
        ipv4(6, tcp(2)).replace(socket.inet_aton("198.51.100.2"), socket.inet_aton("10.0.0.1"))
    )
    other = ip_packet(ipv4(6, tcp(2), ip_id=8))
    assert first is not None
    assert second is not None
    assert other is not None
    assert identity(first) == identity(second) != identity(other)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    ip_packet(data)
    ether_packet(data)


@given(st.binary(max_size=120), st.sampled_from([1, 6, 17, 58, 132]))
def test_no_payload_makes_it_fail(data: bytes, protocol: int) -> None:
    assert some(ip_packet(ipv4(protocol, data)), "family") == [4]
    assert some(ip_packet(ipv6(protocol, data)), "family") == [6]


SYN = ipv4(6, tcp(2))


@pytest.mark.parametrize(
    ("terms", "taken"),
    [
        ([], True),
        ([{"family": 4}], True),
        ([{"family": 6}], False),
        ([{"protocol": 6, "port": [22, 22]}], True),
        ([{"protocol": 17}], False),
        ([{"source": "192.0.2.0/24", "destination": "198.51.100.2/32"}], True),
        ([{"source": "198.51.100.2/32"}], False),
        ([{"host": "198.51.100.2/32"}], True),
        ([{"host": ["192.0.2.1/32", "198.51.100.0/24"]}], True),
        ([{"host": ["192.0.2.1/32", "203.0.113.1/32"]}], False),
        ([{"source_port": [1, 1024]}], False),
        ([{"destination_port": [1, 1024]}], True),
        ([{"port": [[22, 22], [40000, 40000]]}], True),
        ([{"port": [[22, 22], [23, 23]]}], False),
        ([{"flags_mask": 2, "flags_value": 2}], True),
        ([{"flags_mask": 18, "flags_value": 18}], False),
        ([{"protocol": 17}, {"protocol": 6}], True),
        ([[{"protocol": 6}]], True),
        ([{"host": "no address"}], False),
    ],
)
def test_terms_choose_packets(terms: list[object], *, taken: bool) -> None:
    assert Matcher(terms).takes(ip_packet(SYN)) == taken


def test_ports_without_a_protocol_mean_protocols_that_have_ports() -> None:
    matcher = Matcher([{"port": [8, 8]}])
    assert not matcher.takes(ip_packet(ipv4(1, b"\x08\x00\0\0")))


def test_a_tunnel_is_taken_for_what_is_inside() -> None:
    outer = ipv4(17, udp(4789, struct.pack("!II", 0x08000000, 42 << 8) + ether(0x0800, SYN)))
    assert Matcher([{"protocol": 6, "port": [22, 22]}]).takes(ip_packet(outer))


def test_unknown_headers_are_not_what_is_asked_for() -> None:
    assert not Matcher([{"family": 4}]).takes(None)
    assert Matcher([]).takes(None)
