"""What tcpdump prints of a capture, read as text, against the same capture read as bytes."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from capture_oracles import OWN, SHARED, Joined, own_captures, tcpdump, third_party
from capture_samples import OPTIONS, ether, ip4, pcap, seen, tcp, vxlan

from bothways.capture.tcpdump_text import read_tcpdump_text
from bothways.facts.packet import Packet
from bothways.facts.sighting import Sighting, Tap

pytestmark = pytest.mark.needs("tcpdump")

ETH0 = Tap("host1", "root", "eth0")
ANY = Tap("host1", "root", "any")
STYLES = ["n", "nS", "ne", "nv", "nev", "nevvS", "ntttt", "ntt"]


def read(joined: Joined, style: str, folder: Path) -> tuple[dict[int, Sighting], dict[int, Sighting], int]:
    """Sightings by frame, as bytes and as text; how many lines were a problem."""
    tap = ETH0 if joined.link == 1 else ANY
    said = tcpdump(joined.write(folder), style)
    answer = read_tcpdump_text(said.text, tap=tap, file="any.txt")
    told: dict[int, Sighting] = {}
    for sighting in answer.sightings:
        told.setdefault(said.frames[(sighting.span.line or 1) - 1], sighting)
    written, _ = seen(joined.data, tap=tap)
    return {s.span.frame or 0: s for s in written}, told, len(answer.problems)


def differences(written: Sighting, told: Sighting, style: str) -> Iterator[str]:
    """Every field that the text shows and that the bytes say otherwise."""
    ours, theirs = written.packet, told.packet
    if written.tunnel != told.tunnel:
        yield f"tunnel {written.tunnel} {told.tunnel}"
        return
    if "e" in style:
        yield from _fields("frame", ours, theirs, ("length",))
        yield from _fields("ethernet", ours.ethernet, theirs.ethernet, ("src", "type", "vlan"))
    if (ours.source, ours.destination) != (theirs.source, theirs.destination):
        yield f"ends {ours} {theirs}"
    elif ours.arp is not None and theirs.arp is not None:
        yield from _fields("arp", ours.arp, theirs.arp, ("op", "spa"))
    elif ours.ip is not None and theirs.ip is not None:
        if "v" in style:
            fields = ("ttl", "id", "tos", "df") + (("more", "offset") if ours.ip.src.version == 4 else ())
            yield from _fields("ip", ours.ip, theirs.ip, fields)
        yield from _transport(ours, theirs)


def _transport(ours: Packet, theirs: Packet) -> Iterator[str]:
    if ours.tcp is not None and theirs.tcp is not None:
        yield from _fields("tcp", ours.tcp, theirs.tcp, ("flags", "window", "length"))
        if not theirs.tcp.relative:
            yield from _fields("tcp", ours.tcp, theirs.tcp, ("options",))
            told = [name for name in ("seq", "ack", "checksum_ok") if getattr(theirs.tcp, name) is not None]
            yield from _fields(
                "tcp", ours.tcp, theirs.tcp, [n for n in told if getattr(ours.tcp, n) is not None]
            )
    elif ours.icmp is not None and theirs.icmp is not None:
        yield from _fields("icmp", ours.icmp, theirs.icmp, ("type", "code", "id", "seq"))
    elif type(ours.udp) is not type(theirs.udp):
        yield f"udp {ours.udp} {theirs.udp}"


def _fields(noun: str, ours: object, theirs: object, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if getattr(ours, name) != getattr(theirs, name):
            yield f"{noun}.{name} {getattr(ours, name)} {getattr(theirs, name)}"


@pytest.mark.shared
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("link", OWN)
def test_recorded_evidence_reads_the_same_as_text(link: int, style: str, tmp_path: Path) -> None:
    joined = own_captures()[link]
    written, told, problems = read(joined, style, tmp_path)

    assert problems == 0
    assert told.keys() == written.keys()
    parted = [
        f"{joined.places[frame - 1]}: {line}"
        for frame, sighting in written.items()
        for line in differences(sighting, told[frame], style)
    ]
    assert parted == []
    relative = [s.span.text for s in told.values() if s.packet.tcp and s.packet.tcp.relative]
    assert relative == [], "they begin with a SYN"
    if link == 276:
        assert {s.direction for s in told.values()} == {s.direction for s in written.values()}


#: style -> differences that remain among 27,000 frames of which many were made to break decoders
REMAINING = {"n": 25, "nS": 12, "nev": 40}


@pytest.mark.shared
@pytest.mark.parametrize("style", sorted(REMAINING))
def test_other_projects_captures_read_the_same_as_text(style: str, tmp_path: Path) -> None:
    joined = third_party(5)[1]
    written, told, _ = read(joined, style, tmp_path)
    parted = [
        f"{joined.places[frame - 1]}: {line}"
        for frame, sighting in told.items()
        if frame in written
        for line in differences(written[frame], sighting, style)
    ]
    segments = [frame for frame, s in written.items() if s.packet.tcp is not None]

    assert len(parted) <= REMAINING[style], parted[:60]
    assert len([frame for frame in segments if frame not in told]) <= 10
    assert len(told) > 0.92 * len(written)


def conversation(rng: random.Random) -> list[bytes]:
    """A conversation with numbers that may wrap, data both ways, loss and repeats, seen at one tap."""
    numbers = [rng.choice([0, 1, 5000, 2**32 - 3, rng.randrange(2**32)]) for _ in range(2)]
    ends = ("192.0.2.1", "198.51.100.22")
    ports = (rng.randrange(1024, 60000), 22)
    frames: list[bytes] = []

    def send(side: int, flags: int, size: int = 0) -> None:
        src, dst = ends[side], ends[1 - side]
        segment = tcp(
            b"\xee" * size,
            src=src, dst=dst, sport=ports[side], dport=ports[1 - side], flags=flags,
            seq=numbers[side] % 2**32, ack=numbers[1 - side] % 2**32 if flags & 0x10 else 0,
            options=OPTIONS if flags & 2 else b"",
        )  # fmt: skip
        frames.append(ether(ip4(segment, src=src, dst=dst)))
        numbers[side] += size + bool(flags & 3)

    send(0, 0x02)
    send(1, 0x12)
    send(0, 0x10)
    for _ in range(rng.randrange(8)):
        send(rng.randrange(2), 0x18, rng.randrange(1, 1400))
    send(rng.randrange(2), rng.choice([0x04, 0x14, 0x11]))
    return [frame for at, frame in enumerate(frames) if at < 3 or rng.random() > 0.1]


@pytest.mark.parametrize("style", ["n", "nS"])
def test_numbers_of_conversations_are_the_same_with_and_without_s(style: str, tmp_path: Path) -> None:
    rng = random.Random(2126)  # noqa: S311 - the same conversations on every machine
    frames = [frame for _ in range(60) for frame in conversation(rng)]
    joined = Joined(1, pcap(*frames), tuple(("built", at) for at in range(len(frames))))
    written, told, problems = read(joined, style, tmp_path)

    assert problems == 0
    parted = [
        f"{frame}: {line} | {told[frame].span.text}"
        for frame, s in written.items()
        for line in differences(s, told[frame], style)
    ]
    assert parted == []


def test_a_tunnelled_conversation_reads_the_same(tmp_path: Path) -> None:
    frames = [vxlan(frame) for frame in conversation(random.Random(5))]  # noqa: S311 - as above
    joined = Joined(1, pcap(*frames), tuple(("built", at) for at in range(len(frames))))
    for style in ("n", "nev"):
        written, told, problems = read(joined, style, tmp_path)

        assert problems == 0
        assert all(s.tunnel for s in told.values())
        assert [line for frame, s in written.items() for line in differences(s, told[frame], "n")] == []


@pytest.mark.shared
def test_texts_in_the_options_of_tcpdumps_own_tests_are_read() -> None:
    cases = json.loads((SHARED / "oracles" / "texts" / "tcpdump_cases.json").read_text())
    sampled = [case for case in cases[::4] if not any("SPECIAL" in option for option in case["options"])]
    kinds: Counter[str] = Counter()
    for case in sampled:
        command = ["tcpdump", "-n", "-r", str(SHARED / "oracles" / case["pcap"]), *case["options"]]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        answer = read_tcpdump_text(done.stdout, tap=ETH0, file="eth0.txt")
        kinds["sightings"] += len(answer.sightings)
        kinds["problems"] += len(answer.problems)

    assert len(sampled) > 150
    assert kinds["sightings"] > 1500
    assert kinds["problems"] < 0.2 * kinds["sightings"], kinds
