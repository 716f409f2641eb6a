"""The pcapng file: byte orders, sections, interfaces, units of time, what was lost; tshark as the judge."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from capture_samples import SERVER, TAP, ether, ip4, pcap, sll2, tcp
from hypothesis import given
from hypothesis import strategies as st

from bothways.capture.capture_file import read_capture_file
from bothways.capture.pcapng import read_pcapng
from bothways.facts.sighting import Capture, Direction, Tap
from bothways.facts.span import Kind, Problem

SYN = ether(ip4(tcp()))
ANY = Tap("host1", "root", "any")
FILE = "hosts/host1/captures/root/eth0.pcapng"
SHARED = Path(__file__).resolve().parents[4] / "shared"
#: code and value of an option
Option = tuple[int, bytes]


def options(order: str, rows: Iterable[Option]) -> bytes:
    written = b"".join(
        struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in rows
    )
    return written + bytes(4) if written else b""


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def section(order: str = "<", *, major: int = 1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, major, 0, -1), order)


def interface(*rows: Option, link: int = 1, snaplen: int = 0, order: str = "<") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, snaplen) + options(order, rows), order)


def packet(
    frame: bytes = SYN,
    *rows: Option,
    number: int = 0,
    stamp: int = 5_000_000,
    wire: int | None = None,
    order: str = "<",
) -> bytes:
    head = struct.pack(
        f"{order}IIIII",
        number, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame) if wire is None else wire,
    )  # fmt: skip
    return block(6, head + frame + bytes(-len(frame) % 4) + options(order, rows), order)


def old_packet(frame: bytes = SYN, *, lost: int = 0xFFFF, stamp: int = 5_000_000) -> bytes:
    head = struct.pack("<HHIIII", 0, lost, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame))
    return block(2, head + frame + bytes(-len(frame) % 4))


def statistics(*rows: Option, number: int = 0, order: str = "<") -> bytes:
    return block(5, struct.pack(f"{order}III", number, 0, 0) + options(order, rows), order)


def count(code: int, value: int, order: str = "<") -> Option:
    return code, struct.pack(f"{order}Q", value)


def moment(code: int, stamp: int) -> Option:
    return code, struct.pack("<II", stamp >> 32, stamp & 0xFFFFFFFF)


def read(*blocks: bytes, tap: Tap = TAP) -> tuple[tuple[Capture, ...], tuple[Problem, ...]]:
    return read_pcapng(b"".join(blocks), tap=tap, file=FILE, names={2: "eth0"})


def only(*blocks: bytes, tap: Tap = TAP) -> Capture:
    (capture,), problems = read(*blocks, tap=tap)
    assert problems == ()
    return capture


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(order: str) -> None:
    capture = only(section(order), interface((2, b"eth0"), order=order), packet(order=order))

    (sighting,) = capture.sightings
    assert (capture.tap, capture.source, capture.filter, capture.snaplen) == (TAP, FILE, None, None)
    assert (sighting.time_ns, sighting.position, str(sighting.span)) == (5_000_000_000, 0, f"{FILE}#1")
    assert str(sighting.packet.destination) == f"{SERVER}:22"
    assert "Flags [S], seq 1000" in sighting.span.text


@pytest.mark.parametrize(
    ("rows", "stamp", "time_ns"),
    [
        ((), 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (((9, b"\x06"),), 7, 7_000),
        (((9, b"\x09"),), 1_700_000_000_123_456_789, 1_700_000_000_123_456_789),
        (((9, b"\x00"),), 1_700_000_000, 1_700_000_000_000_000_000),
        (((9, b"\x0c"),), 1_234_567, 1_234),
        (((9, b"\x83"),), 20, 2_500_000_000),
        (((9, b"\xa0"),), 3 << 31, 1_500_000_000),
        (((14, struct.pack("<q", 1000)),), 5, 1_000_000_005_000),
        (((14, struct.pack("<q", -1)), (9, b"\x09")), 1_000_000_007, 7),
        (((9, b"\x06\x06"),), 7, 7_000),
    ],
)
def test_units_of_time(rows: tuple[Option, ...], stamp: int, time_ns: int) -> None:
    capture = only(section(), interface(*rows), packet(stamp=stamp))

    assert [s.time_ns for s in capture.sightings] == [time_ns]


def test_each_interface_is_a_tap_with_a_link_type_and_a_unit_of_its_own() -> None:
    captures, problems = read(
        section(),
        interface((2, b"eth0"), (11, b"\0tcp port 22"), snaplen=96),
        interface((2, b"any"), (9, b"\x09"), link=276),
        interface((2, b"qg-1"), link=101),
        packet(sll2(ip4(tcp()), ifindex=2, way=4), number=1),
        packet(SYN[:50], wire=len(SYN)),
        packet(number=0, stamp=6_000_000),
    )

    assert problems == ()
    told = [
        (c.tap.device, c.filter, c.snaplen, [(s.device, s.span.frame) for s in c.sightings]) for c in captures
    ]
    assert told == [
        ("eth0", "tcp port 22", 96, [("eth0", 2), ("eth0", 3)]),
        ("any", None, None, [("eth0", 1)]),
        ("qg-1", None, None, []),
    ]
    assert captures[1].sightings[0].time_ns == 5_000_000
    assert captures[1].sightings[0].direction is Direction.OUT
    assert [s.truncated for s in captures[0].sightings] == [True, False]


def test_sections_count_their_interfaces_anew_and_share_the_taps() -> None:
    captures, problems = read(
        section("<"), interface((2, b"eth1")), interface((2, b"eth0")), packet(number=1),
        section(">"), interface((2, b"eth0"), order=">"), packet(order=">", stamp=7_000_000),
    )  # fmt: skip

    assert problems == ()
    assert [(c.tap.device, [s.time_ns for s in c.sightings]) for c in captures] == [
        ("eth1", []),
        ("eth0", [5_000_000_000, 7_000_000_000]),
    ]


@pytest.mark.parametrize(
    ("name", "tap"),
    [
        (b"eth0", "host1:eth0"),
        (b"qg-5d88ef18-33\0", "host1:qg-5d88ef18-33"),
        (b"host7/qrouter-1:qg-1", "host7/qrouter-1:qg-1"),
        (b"host7:any", "host7:any"),
        (b"-", "host1:any"),
        (b"/tmp/wireshark_pipe", "host1:any"),
        (b"\\Device\\NPF_{1}", "host1:any"),
        (b"Standard input", "host1:any"),
        (b"sshdump", "host1:any"),
        (b"a-name-of-more-than-15", "host1:any"),
        (b"", "host1:any"),
    ],
)
def test_the_name_of_an_interface_is_its_tap_if_it_can_be_one(name: bytes, tap: str) -> None:
    assert str(only(section(), interface((2, name)), tap=ANY).tap) == tap


def test_a_file_that_is_named_after_another_device_is_told() -> None:
    (capture,), (problem,) = read(section(), interface((2, b"eth7")), packet())

    assert (capture.tap.device, len(capture.sightings)) == ("eth7", 1)
    assert problem.kind is Kind.CONTRADICTION
    assert "`host1:eth0`" in problem.message
    assert "`host1:eth7`" in problem.message


@pytest.mark.parametrize(
    ("blocks", "received", "dropped"),
    [
        ((), None, None),
        ((statistics(count(4, 9), count(5, 2)),), 9, 2),
        ((statistics(count(4, 9), count(6, 7), count(5, 2), count(7, 1)),), 7, 3),
        ((statistics(count(4, 9), count(5, 2)), statistics(count(4, 12), count(5, 3))), 12, 3),
        ((statistics(count(5, 0)),), None, 0),
        ((statistics((5, b"\1\2")),), None, None),
        ((statistics(count(5, 1), number=4),), None, None),
        ((old_packet(lost=2), old_packet(lost=0xFFFF), old_packet(lost=1)), None, 3),
        ((old_packet(lost=0xFFFF),), None, None),
    ],
)
def test_what_was_received_and_lost(
    blocks: tuple[bytes, ...], received: int | None, dropped: int | None
) -> None:
    capture = only(section(), interface(), *blocks)

    assert (capture.received, capture.dropped) == (received, dropped)


def test_a_tap_of_two_sections_lost_what_both_lost_if_both_tell() -> None:
    first = (section(), interface(), statistics(count(5, 2), moment(2, 1_000_000), moment(3, 3_000_000)))

    both = only(*first, section(), interface(), statistics(count(5, 3), moment(2, 5_000_000)))
    one = only(*first, section(), interface())

    assert (both.dropped, both.started, both.stopped) == (5, 1.0, None)
    assert (one.dropped, one.started, one.stopped) == (None, None, None)


@pytest.mark.parametrize(
    ("flags", "direction"), [(0, None), (1, Direction.IN), (2, Direction.OUT), (0x1001, Direction.IN)]
)
def test_flags_of_a_packet_tell_its_direction(flags: int, direction: Direction | None) -> None:
    rows = ((1, b"this is the one"), (2, struct.pack("<I", flags)))
    capture = only(section(), interface(), packet(SYN, *rows))

    assert [s.direction for s in capture.sightings] == [direction]


def test_frames_are_counted_as_wireshark_does() -> None:
    others = (
        block(4, bytes(8)),  # names
        block(9, b"MESSAGE=x\n\0\0"),  # systemd's journal: a frame
        block(0xBAD, struct.pack("<I", 1) + bytes(4)),  # of somebody else: a frame
        block(0x12345, bytes(4)),
    )
    capture = only(section(), interface(), *others, old_packet(), packet())

    assert [s.span.frame for s in capture.sightings] == [3, 4]


def test_packets_without_a_time_are_told_once_and_not_used() -> None:
    simple = block(3, struct.pack("<I", len(SYN)) + SYN + bytes(-len(SYN) % 4))
    (capture,), (problem,) = read(section(), interface(), simple, packet(), simple)

    assert [s.span.frame for s in capture.sightings] == [2]
    assert (problem.kind, problem.span.frame) == (Kind.UNMODELLED, 1)


@pytest.mark.parametrize(
    ("blocks", "frame", "said"),
    [
        ((b"\x0a\x0d\x0d\x0a",), 1, "4 bytes into a block header"),
        ((b"\x0a\x0d\x0d\x0a" + bytes(20),), 1, "without byte order"),
        ((section()[:20],), 1, "into a section header"),
        ((section(major=2),), 1, "version 2"),
        ((section(), interface(), packet(), packet()[:-5]), 2, "the file has"),
        ((section(), interface(), packet(), b"\1\2\3"), 2, "3 bytes into a block header"),
        ((section(), interface(), struct.pack("<III", 6, 8, 8)), 1, "a block of 8 bytes"),
        ((section(), interface(), struct.pack("<IIII", 6, 14, 0, 14)), 1, "a block of 14 bytes"),
        ((section(), interface(), packet(number=3)), 1, "interface 3"),
        ((section(), interface(), block(6, bytes(8))), 1, "a packet block that is cut"),
        ((section(), interface(), block(2, bytes(8))), 1, "a packet block that is cut"),
        ((section(), interface(), block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99))), 1, "claims 99 bytes"),
        ((section(), interface((14, struct.pack("<q", -9))), packet()), 1, "before the year 1970"),
        ((section(), block(1, bytes(4)), packet()), 1, "an interface description that is cut"),
    ],
)
def test_what_is_broken_is_told_with_its_place(blocks: tuple[bytes, ...], frame: int, said: str) -> None:
    _, problems = read(*blocks)

    (problem,) = problems
    assert (problem.kind, problem.span.frame) == (Kind.MALFORMED, frame)
    assert said in problem.message


def test_of_a_link_type_that_is_not_read_one_problem_is_left() -> None:
    rest = (interface((2, b"eth0")), packet(number=2))
    captures, (problem,) = read(
        section(), interface(link=127), interface(link=127), *rest, packet(), packet()
    )

    assert (problem.kind, problem.message) == (
        Kind.UNMODELLED,
        "link type 127 is not read; none of its frames is used",
    )
    assert [len(c.sightings) for c in captures] == [1]


def test_loopback_links_of_other_systems() -> None:
    null = [family.to_bytes(4, order) + ip4(tcp()) for family in (2, 30) for order in ("little", "big")]
    file = pcap(*null, (7).to_bytes(4) + b"?", link=0)
    (capture,), problems = read_capture_file(file, tap=TAP, file=FILE, names=None)

    assert problems == ()
    assert [s.packet.length for s in capture.sightings] == [40] * 4


@pytest.mark.parametrize("data", [pcap(SYN, SYN), b"".join((section(), interface(), packet(), packet()))])
def test_a_compressed_capture(data: bytes) -> None:
    half = gzip.compress(data[:70]) + gzip.compress(data[70:])
    whole = read_capture_file(data, tap=TAP, file=FILE, names=None)

    assert read_capture_file(half, tap=TAP, file=FILE, names=None) == whole
    (capture,), problems = read_capture_file(gzip.compress(data)[:-20], tap=TAP, file=FILE, names=None)
    assert len(capture.sightings) <= 2
    assert problems[0].kind is Kind.MALFORMED
    assert "read as far as it goes" in problems[0].message


BLOCKS = (
    section(), section(">"), interface((2, b"eth0")), interface((9, b"\xff"), link=276), interface(link=127),
    packet(), packet(SYN, (2, b"\1\0\0\0")), old_packet(lost=1), statistics(count(5, 1), moment(2, 1 << 63)),
    block(3, bytes(8)), block(9, b""), packet(sll2(ip4(tcp())), number=1, stamp=(1 << 64) - 1),
)  # fmt: skip


@given(
    chosen=st.lists(st.sampled_from(BLOCKS), max_size=8),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 10_000),
)
def test_damaged_files_are_never_fatal(chosen: list[bytes], changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(section() + b"".join(chosen))
    for at, octet in changes:
        data[28 + at % len(data) if len(data) > 28 else 0 : 29 + at % len(data)] = bytes([octet])
    for file in (bytes(data), bytes(data[: cut % len(data)]), gzip.compress(bytes(data))[: cut + 20]):
        captures, problems = read_capture_file(file, tap=ANY, file=FILE, names=None)
        assert len({c.tap for c in captures}) == len(captures)
        assert all(s.time_ns >= 0 for c in captures for s in c.sightings)
        assert all(p.message for p in problems)


def tshark(path: Path) -> dict[int, tuple[int | None, int]]:
    """Frame -> time in nanoseconds (None = it has none) and length on the wire."""
    fields = ["frame.number", "frame.time_epoch", "frame.len"]
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *(w for f in fields for w in ("-e", f))]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    found: dict[int, tuple[int | None, int]] = {}
    for line in lines:
        number, stamp, length = line.split("\t")
        seconds, _, fraction = stamp.partition(".")
        moment_ns = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9]) if stamp else None
        found[int(number)] = (moment_ns, int(length))
    return found


@pytest.mark.shared
@pytest.mark.needs("tshark")
def test_captures_of_other_projects_have_tsharks_frames_and_times() -> None:
    root = SHARED / "oracles" / "pcap"
    index = json.loads((root / "index.json").read_text())
    files = [row["file"] for row in index if row["format"] in ("pcapng", "gzip")][::12]
    compared = 0
    for file in files:
        path = root / file
        captures, _ = read_capture_file(path.read_bytes(), tap=TAP, file=file, names=None)
        truth = tshark(path)
        for sighting in (s for c in captures for s in c.sightings):
            frame = sighting.span.frame
            assert frame is not None
            moment_ns, length = truth[frame]
            assert moment_ns == sighting.time_ns, (file, frame)
            if sighting.packet.ethernet.src and sighting.packet.ethernet.dst:
                assert sighting.packet.length in (length, length - 2), (file, frame)  # cooked broadcasts
            compared += 1

    assert len(files) > 15
    assert compared > 200
