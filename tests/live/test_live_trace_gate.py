"""
What the programs let in and leave out, packet by packet.

Most packets leave by a short test that knows plain headers only; whatever it cannot decide must be looked at
in full. So each kind of packet is sent twice, for an address that is asked for and for another one.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from bothways.trace.probe.choose import choose
from bothways.trace.probe.netns_devices import inside
from bothways.trace.probe.options import parse_options
from bothways.trace.probe.programs import Programs

pytestmark = [pytest.mark.live, pytest.mark.needs("ip")]

ASKED, OTHER, FROM = "198.51.100.7", "198.51.100.8", "192.0.2.1"
ASKED6, OTHER6, FROM6 = "2001:db8::7", "2001:db8::8", "2001:db8:1::1"
TCP, UDP, ICMP, GRE, IPIP, SCTP, ICMP6, OPTIONS = 6, 17, 1, 47, 4, 132, 58, 60
TERMS = f'[{{"host":"{ASKED}/32"}},{{"host":"{ASKED6}/128"}}]'
PORTS = struct.pack(">HH", 4001, 4002)
SYN = PORTS + struct.pack(">IIBBHHH", 7, 0, 0x50, 2, 100, 0, 0)
FINISHED = SYN[:13] + b"\x04" + SYN[14:]
DATAGRAM = PORTS + struct.pack(">HH", 16, 0) + bytes(8)
ECHO = struct.pack(">BBHHH", 8, 0, 0, 9, 1) + bytes(8)
EXTENSION = bytes((TCP, 0, 1, 4, 0, 0, 0, 0))
ETHERNET = bytes.fromhex("020000000002" + "020000000001")
IP, IP6, VLAN = b"\x08\x00", b"\x86\xdd", b"\x81\x00\x00\x05"
SOURCE_PORT = 5000
FRAGMENTS_FOLLOW, LATER = 0x2000, 3
#: How long a machine may take to receive what was sent, seconds.
PATIENCE = 20


def v4(to: str, protocol: int, data: bytes, *, number: int, fragment: int = 0, options: bytes = b"") -> bytes:
    """An IPv4 packet; its checksum is left out, as nothing looks at it before it is seen."""
    words = 5 + len(options) // 4
    length = words * 4 + len(data)
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, length, number, fragment, 9, protocol, 0)
    return head + IPv4Address(FROM).packed + IPv4Address(to).packed + options + data


def v6(to: str, protocol: int, data: bytes) -> bytes:
    ends = IPv6Address(FROM6).packed + IPv6Address(to).packed
    return struct.pack(">IHBB", 6 << 28, len(data), protocol, 9) + ends + data


def vxlan(inner: bytes) -> bytes:
    frame = struct.pack(">II", 0x08000000, 5 << 8) + ETHERNET + IP + inner
    return struct.pack(">HHHH", 4003, 4789, 8 + len(frame), 0) + frame


def frames(to: str, to6: str, number: int) -> dict[str, bytes]:
    """Frames of every kind; `number` is the IP id of IPv4's, and the source port of IPv6's."""

    def four(protocol: int, data: bytes, *, fragment: int = 0, options: bytes = b"") -> bytes:
        return IP + v4(to, protocol, data, number=number, fragment=fragment, options=options)

    def around(protocol: int, data: bytes) -> bytes:
        return IP + v4("192.0.2.99", protocol, data, number=number)

    ports = struct.pack(">H", number)
    quoted = v4(to, TCP, SYN, number=1)
    return {
        "tcp": four(TCP, SYN),
        "reset": four(TCP, FINISHED),
        "udp": four(UDP, DATAGRAM),
        "echo": four(ICMP, ECHO),
        "sctp": four(SCTP, DATAGRAM),
        "options": four(TCP, SYN, options=bytes((1, 1, 1, 0))),
        "first fragment": four(UDP, DATAGRAM, fragment=FRAGMENTS_FOLLOW),
        "later fragment": four(UDP, DATAGRAM, fragment=LATER),
        "tagged": VLAN + four(TCP, SYN),
        "error": around(ICMP, struct.pack(">BBHI", 3, 1, 0, 0) + quoted[:28]),
        "in vxlan": around(UDP, vxlan(v4(to, TCP, SYN, number=1))),
        "in gre": around(GRE, b"\x00\x00" + IP + v4(to, TCP, SYN, number=1)),
        "in ip": around(IPIP, v4(to, TCP, SYN, number=1)),
        "tcp of ipv6": IP6 + v6(to6, TCP, ports + SYN[2:]),
        "udp of ipv6": IP6 + v6(to6, UDP, ports + DATAGRAM[2:]),
        "behind an extension": IP6 + v6(to6, OPTIONS, EXTENSION + ports + SYN[2:]),
    }


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"bwgate{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "add", "g0", "type", "veth", "peer", "name", "g1")
        for device in ("g0", "g1"):
            ip("-n", name, "link", "set", device, "up")
        yield name
    finally:
        ip("netns", "del", name)


def number_of(packet: dict[str, Any]) -> int:
    return int(packet["source_port"] if packet["family"] == 6 else packet["ip_id"])


def note(events: Iterable[dict[str, Any]], found: dict[int, set[str]]) -> None:
    for event in events:
        if event["packet"] is not None:
            found.setdefault(number_of(event["packet"]), set()).add(event["event"])


@pytest.fixture(scope="module")
def seen(namespace: str) -> dict[int, set[str]]:
    """The events of every packet, by its number."""
    words = ["--filter", TERMS, "--stack", "none", "--profile-events", "xmit,receive,drop"]
    inode = Path(f"/run/netns/{namespace}").stat().st_ino
    source = choose(parse_options([*words, "--netns", f"inode:{inode}", "--tier", "raw_tracepoint"]))
    assert isinstance(source, Programs)

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind(("g0", 0))
            for start, to, to6 in ((SOURCE_PORT + 100, OTHER, OTHER6), (SOURCE_PORT, ASKED, ASKED6)):
                for at, name in enumerate(frames(to, to6, 0)):
                    out.send(ETHERNET + frames(to, to6, start + at)[name])
                    time.sleep(0.002)

    inside(f"/run/netns/{namespace}", send)
    found: dict[int, set[str]] = {}
    last = SOURCE_PORT + len(frames(ASKED, ASKED6, 0)) - 1
    patient_until = time.monotonic() + PATIENCE
    # What is sent is received in order, so when the last one came in, which is asked for, all did.
    while "receive" not in found.get(last, ()) and time.monotonic() < patient_until:
        note(source.events(0.1), found)
    source.detach()
    note(source.events(0), found)
    source.close()
    return found


@pytest.mark.parametrize("name", frames(ASKED, ASKED6, 0))
def test_what_is_asked_for_is_seen_and_the_rest_is_not(name: str, seen: dict[int, set[str]]) -> None:
    number = SOURCE_PORT + list(frames(ASKED, ASKED6, 0)).index(name)
    assert {"xmit", "receive"} <= seen.get(number, set())
    assert number + 100 not in seen
