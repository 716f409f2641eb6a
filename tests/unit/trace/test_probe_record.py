"""Records of the programs as events."""

from __future__ import annotations

import json
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe.hostns import Namespaces
from bothways.trace.probe.probes import BY_NUMBER
from bothways.trace.probe.record import SIZE, Decoder
from bothways.trace.probe.symbols import Symbols

HEAD = struct.Struct("=6Q6IHH4Bi3I16s16s")
PACKET = struct.Struct("=16s16sHHBBHIIHHHHHHBBBB")
CONNTRACK = struct.Struct("=16s16sHHBBH16s16sHHBBHQIIHBBB3x")
SYMBOLS = b"".join(
    b"%016x T %s\n" % (address, name)
    for address, name in (
        (0x1000, b"tcp_v4_rcv"),
        (0x2000, b"tcp_v4_send_reset"),
        (0x3000, b"net_rx_action"),
        (0x4000, b"end"),
    )
)
KFREE, RESET, XMIT = 1, 8, 4


def address(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text).ljust(16, b"\0")


def packet(source: str, destination: str, protocol: int = 6, **more: int) -> bytes:
    get = more.get
    family = 6 if ":" in source else 4
    return PACKET.pack(
        address(source), address(destination), get("source_port", 0), get("destination_port", 0),
        protocol, family, 0, get("seq", 0), get("ack", 0), get("ip_id", 0), get("window", 0),
        get("length", 40), 0, get("fragment", 0), 20, get("flags", 0), 64,
        get("icmp_type", 0), get("icmp_code", 0),
    )  # fmt: skip


NOTHING = bytes(PACKET.size)


def record(
    probe: int, first: bytes, *, parts: int = 1, second: bytes = NOTHING, before: bytes = NOTHING,
    life: int = 77, provoked_by: int = 0, clone_of: int = 0, location: int = 0,
    stack: tuple[int, ...] = (), tracked: bytes = b"", vni: int = 0,
) -> bytes:  # fmt: skip
    head = HEAD.pack(
        5, life, provoked_by, clone_of, 0xFFFF0000, location, 4026531840, 3, 54, 9, 0, vni,
        probe, 1, parts, len(stack), 255, 0, 0, 0, 0, 0, b"qg-1", b"sshd",
    )  # fmt: skip
    whole = head + first + tracked.ljust(CONNTRACK.size, b"\0") + second + before
    return whole + struct.pack(f"={len(stack)}Q", *stack)


@pytest.fixture
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    nowhere = str(tmp_path_factory.mktemp("proc"))
    return Decoder(Symbols(SYMBOLS), None, Namespaces(nowhere, ()))


def test_a_record_is_as_long_as_what_it_tells(decoder: Decoder) -> None:
    """The kernel part leaves out the tracker's entry, and what is within, where they are not there."""
    short = HEAD.size + PACKET.size
    assert decoder.event(record(XMIT, ACK)[:short]) == decoder.event(record(XMIT, ACK))
    tracked = record(XMIT, ACK, parts=1 | 16)
    assert decoder.event(tracked[: short + CONNTRACK.size]) == decoder.event(tracked)


ACK = packet("10.0.0.1", "10.0.0.2", source_port=17350, destination_port=22, flags=16, seq=1, ack=2, ip_id=7)


def test_a_reset_names_its_function_and_its_stack_ends_at_the_soft_interrupt(decoder: Decoder) -> None:
    event = decoder.event(record(RESET, ACK, stack=(0x2010, 0x1020, 0x3001, 0x3002)))
    assert (event["event"], event["function"], event["device"], event["task"]) == (
        "rst-sent", "tcp_v4_send_reset", "qg-1", "sshd",
    )  # fmt: skip
    assert event["stack"][:2] == ["tcp_v4_send_reset+0x10", "tcp_v4_rcv+0x20"]
    assert not any(frame.startswith("net_rx_action") for frame in event["stack"])
    assert event["packet"]["flags"] == "."
    assert (event["packet"]["source"], event["packet"]["destination_port"]) == ("10.0.0.1", 22)
    assert event["netns"] == "inode:4026531840"


def test_a_drop_is_the_function_where_it_was_freed(decoder: Decoder) -> None:
    event = decoder.event(record(KFREE, ACK, location=0x1091))
    assert (event["function"], event["location"]) == ("tcp_v4_rcv", "tcp_v4_rcv+0x91")


def test_lives_are_numbered_as_they_are_met(decoder: Decoder) -> None:
    one = decoder.event(record(XMIT, ACK, life=900))
    two = decoder.event(record(XMIT, ACK, life=901, provoked_by=900, clone_of=899))
    again = decoder.event(record(XMIT, ACK, life=900))
    assert one["packet_id"] == again["packet_id"] == 1
    assert (two["packet_id"], two["provoked_by"]) == (2, 1)
    assert two["clone_of"] not in (1, 2)


def test_what_a_tunnel_carries_and_an_error_quotes(decoder: Decoder) -> None:
    outer = packet("192.0.2.1", "192.0.2.2", 17, source_port=5, destination_port=4789)
    tunnel = decoder.event(record(XMIT, outer, parts=1 | 2, second=ACK, vni=42))["packet"]
    assert (tunnel["vni"], tunnel["inner"]["destination_port"], tunnel["quoted"]) == (42, 22, None)
    error = packet("192.0.2.9", "10.0.0.1", 1, icmp_type=3, icmp_code=4)
    quoting = decoder.event(record(XMIT, error, parts=1 | 4, second=ACK))["packet"]
    assert (quoting["icmp_type"], quoting["icmp_code"], quoting["quoted"]["seq"], quoting["inner"]) == (
        3,
        4,
        1,
        None,
    )
    assert (quoting["flags"], quoting["source_port"]) == (None, None)


def test_a_later_fragment_has_no_ports_and_ipv6_no_identification(decoder: Decoder) -> None:
    late = decoder.event(record(XMIT, packet("10.0.0.1", "10.0.0.2", 17, fragment=185, ip_id=9)))["packet"]
    assert (late["source_port"], late["ip_id"]) == (None, 9)
    six = decoder.event(record(XMIT, packet("fd00::1", "fd00::2", flags=2)))["packet"]
    assert (six["source"], six["ip_id"], six["flags"]) == ("fd00::1", None, "S")


def test_a_translated_connection(decoder: Decoder) -> None:
    tracked = CONNTRACK.pack(
        address("10.0.0.1"), address("198.51.100.1"), 17350, 22, 6, 4, 0,
        address("10.0.0.2"), address("10.0.0.1"), 22, 17350, 6, 4, 0,
        1, 0x2A, 5, 3, 2, 1, 255,
    )  # fmt: skip
    event = decoder.event(record(XMIT, ACK, parts=1 | 8 | 16, before=ACK, tracked=tracked))
    told = event["conntrack"]
    assert (told["info"], told["state"], told["mark"], told["zone"]) == ("NEW", "SYN_SENT", 5, 3)
    assert told["status"] == ["SEEN_REPLY", "CONFIRMED", "DST_NAT"]
    assert told["original"]["destination"] == "198.51.100.1"
    assert event["before"]["source"] == "10.0.0.1"


@given(st.sampled_from(sorted(BY_NUMBER)), st.binary(min_size=SIZE, max_size=SIZE))
def test_whatever_a_record_holds_is_an_event(number: int, garbage: bytes) -> None:
    decoder = Decoder(Symbols(SYMBOLS), None, Namespaces("/nonexistent", ()))
    octets = bytearray(garbage)
    at = HEAD.size - struct.calcsize("=HH4Bi3I16s16s")
    struct.pack_into("=H", octets, at, number)
    octets[at + 5] = 0  # no stack
    event = decoder.event(bytes(octets))
    assert event["event"] == BY_NUMBER[number].event
    json.dumps(event)
