"""Whatever bytes or text are read: sightings, and problems with a place; never an exception."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from capture_samples import (
    OPTIONS,
    arp,
    ether,
    icmp,
    icmp6,
    ip4,
    ip6,
    pcap,
    seen,
    sll,
    sll2,
    tcp,
    tcp6,
    udp,
    vxlan,
)
from hypothesis import given
from hypothesis import strategies as st

from bothways.capture.order import backwards
from bothways.capture.pcap import read_pcap
from bothways.capture.tcpdump_text import read_tcpdump_text
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Problem

ANY = Tap("host1", "root", "any")
SHARED = Path(__file__).resolve().parents[4] / "shared"

ETHERNET = (
    ether(ip4(tcp(options=OPTIONS))),
    ether(ip4(icmp(3, 3, payload=ip4(udp(b"x" * 9), protocol=17)), protocol=1)),
    ether(ip6(b"\x2c\0\x05\x02\0\0\x01\0" + struct.pack("!BBHI", 6, 0, 1, 9) + tcp6(), following=0), 0x86DD),
    ether(ip6(icmp6(1, 4, payload=ip6(tcp6())), following=58), 0x86DD),
    ether(arp(), 0x0806),
    ether(ip4(tcp()), tags=[(0x88A8, 1), (0x8100, 2)]),
    vxlan(ether(ip4(tcp(options=OPTIONS)))),
)
FILES = (
    pcap(*ETHERNET),
    pcap(*ETHERNET, kind=(">", 0xA1B23C4D)),
    pcap(*(sll(ip4(tcp()), way=way) for way in range(6)), link=113),
    pcap(*(sll2(ip4(tcp()), ifindex=way) for way in range(3)), link=276),
    pcap(ip4(tcp()), ip6(tcp6()), link=101),
)
TEXT = """\
root@host1:~# tcpdump -ni any
listening on any, link-type LINUX_SLL2 (Linux cooked v2), snapshot length 262144 bytes
19:25:18.052823 IP 192.168.111.210.17350 > 192.168.111.223.22: Flags [S],
19:25:18.1 eth0  In  IP 192.0.2.1.1 > 192.0.2.2.22: Flags [P.], seq 1:9, options [nop,sack 1 {5:6}], length 8
2026-11-22 19:25:18.1 IP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto UDP (17), length 110)
    10.1.0.11.5 > 10.1.0.15.4789: [udp sum ok] VXLAN, flags [I] (0x08), vni 1086
02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4, length 74: 192.0.2.1 > 192.0.2.2: ICMP echo reply
19:25:18.1 IP6 2001:db8::1 > 2001:db8::2: frag (0x00000002:0|1432) 59694 > 80: Flags [S], length 0
19:25:18.2 2:0:0:0:0:1 > Broadcast, ethertype ARP, length 42: Request who-has 192.0.2.9 tell 192.0.2.8
19:25:18.3 2:0:0:0:0:1 > 2:0:0:0:0:2, ethertype 802.1Q, length 46: vlan 5, p 0, ARP, Probe 192.0.2.1
3 packets captured
"""


def sound(sightings: tuple[Sighting, ...], problems: tuple[Problem, ...]) -> None:
    """What holds of any answer."""
    positions = [s.position for s in sightings]
    assert positions == sorted(set(positions))
    for sighting in sightings:
        assert (sighting.packet.ip is None) != (sighting.packet.arp is None)
        assert (sighting.span.line is None) != (sighting.span.frame is None)
        assert sighting.span.text
        assert sighting.time_ns >= 0
    for problem in problems:
        assert problem.message
        assert "\n" not in problem.message
        assert str(problem)
    assert len(backwards(sightings)) <= 1


def read_text(text: str) -> None:
    answer = read_tcpdump_text(text, tap=ANY, file="any.txt")
    sound(answer.sightings, answer.problems)
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    for span in (*(s.span for s in answer.sightings), *(p.span for p in answer.problems)):
        assert span.line is not None
        assert lines[span.line - 1] == span.text


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    sound(*seen(data, tap=ANY))


@given(
    link=st.sampled_from([1, 12, 101, 113, 228, 229, 276]),
    frames=st.lists(st.binary(max_size=120), max_size=4),
    snaplen=st.integers(0, 200),
)
def test_any_frames(link: int, frames: list[bytes], snaplen: int) -> None:
    sound(*seen(pcap(*frames, link=link, snaplen=snaplen), tap=ANY))


@given(
    body=st.binary(max_size=100),
    protocol=st.sampled_from([1, 6, 17, 58, 4, 47]),
    version=st.sampled_from([4, 6]),
    first=st.sampled_from([0, 43, 44, 51, 60]),
    fragment=st.sampled_from([0, 0x2000, 0x2001, 185]),
)
def test_any_bytes_behind_an_ip_header(
    body: bytes, protocol: int, version: int, first: int, fragment: int
) -> None:
    four = ether(ip4(body, protocol=protocol, fragment=fragment))
    other = ether(ip6(body, following=first if fragment else protocol), 0x86DD)
    frame = other if version == 6 else four
    sound(*seen(pcap(frame, vxlan(frame))))


@given(
    file=st.sampled_from(FILES),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 10_000),
    wild=st.binary(max_size=8),
)
def test_damaged_captures(file: bytes, changes: list[tuple[int, int]], cut: int, wild: bytes) -> None:
    data = bytearray(file)
    for at, octet in changes:
        data[at % len(data)] = octet
    at = cut % len(data)
    data[at:at] = wild
    sound(*seen(bytes(data), tap=ANY, names={1: "lo"}))
    sound(*seen(bytes(data[:at]), tap=ANY))


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    read_text(text)


WORDS = [*sorted(set(TEXT.split())), "\n", " ", "  ", "(", ")", "[", "]", "> "]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_words_of_tcpdump_in_any_order(words: list[str]) -> None:
    read_text("19:25:18.1 " + " ".join(words))


@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.characters()), max_size=6),
    start=st.integers(0, 2000),
    size=st.integers(0, 2000),
    number=st.text(alphabet="0123456789", min_size=1, max_size=30),
)
def test_damaged_texts(changes: list[tuple[int, str]], start: int, size: int, number: str) -> None:
    letters = list(TEXT)
    for at, letter in changes:
        letters[at % len(letters)] = letter
    text = "".join(letters)
    read_text(text[start : start + size])
    read_text(text.replace("22", number))


@pytest.mark.shared
def test_captures_of_other_projects_are_read_without_an_exception() -> None:
    files = sorted((SHARED / "oracles" / "pcap" / "files").iterdir())
    assert len(files) > 1000
    total = 0
    for file in files:
        sightings, problems = read_pcap(file.read_bytes(), tap=ANY, file=file.name, names=None)
        sound(sightings, problems)
        total += len(sightings)
    assert total > 30_000


@pytest.mark.shared
def test_captures_of_other_projects_survive_damage() -> None:
    for file in sorted((SHARED / "oracles" / "pcap" / "files").iterdir())[::25]:
        data = bytearray(file.read_bytes()[:4000])
        for at in range(24, len(data), 13):
            data[at] ^= at & 0xFF
        sound(*read_pcap(bytes(data), tap=ANY, file=file.name, names=None))
