"""The capture file: header, records, and what is told of files that are none."""

from __future__ import annotations

import struct

import pytest
from capture_samples import LITTLE, TAP, arp, ether, ip4, pcap, record, seen, sll2, tcp

from bothways.capture.pcap import read_pcap
from bothways.facts.sighting import Direction, Tap
from bothways.facts.span import Kind

SYN = ether(ip4(tcp()))
ANY = Tap("host1", "root", "any")


@pytest.mark.parametrize(
    ("order", "magic", "nanoseconds"),
    [("<", 0xA1B2C3D4, 1000), (">", 0xA1B2C3D4, 1000), ("<", 0xA1B23C4D, 1), (">", 0xA1B23C4D, 1)],
)
def test_both_byte_orders_and_both_units(order: str, magic: int, nanoseconds: int) -> None:
    (sighting,), problems = seen(pcap(SYN, kind=(order, magic), fractions=[123_456]))

    assert problems == ()
    assert sighting.time_ns == 1_700_000_000_000_000_000 + 123_456 * nanoseconds
    assert not sighting.clock_only
    assert sighting.packet.length == len(SYN)


def test_frames_count_from_one_as_wireshark_does_and_positions_from_zero() -> None:
    lldp = ether(b"\x02\x07", 0x88CC)
    sightings, problems = seen(pcap(SYN, lldp, SYN))

    assert [(s.span.frame, s.position) for s in sightings] == [(1, 0), (3, 2)]
    assert [str(s.span) for s in sightings] == [
        "hosts/host1/captures/root/eth0.pcap#1",
        "hosts/host1/captures/root/eth0.pcap#3",
    ]
    assert problems == ()


def test_a_span_quotes_the_frame_in_tcpdumps_words() -> None:
    (sighting,), _ = seen(pcap(SYN, fractions=[42]))

    assert sighting.span.line is None
    assert sighting.span.text == (
        "22:13:20.000042 IP 192.0.2.1.17350 > 198.51.100.22.22: Flags [S], seq 1000, win 64240, length 0"
    )


def test_a_plain_capture_is_of_its_device_and_tells_no_direction() -> None:
    (sighting,), _ = seen(pcap(SYN))

    assert (sighting.tap, sighting.device, sighting.direction) == (TAP, "eth0", None)


def test_a_frame_cut_by_the_snapshot_length_keeps_what_it_has() -> None:
    whole = ether(ip4(tcp(b"x" * 100)))
    (sighting,), problems = seen(pcap(whole, snaplen=60))

    assert sighting.truncated
    assert sighting.packet.length == len(whole)
    assert sighting.packet.tcp is not None
    assert (sighting.packet.tcp.length, sighting.packet.tcp.checksum_ok) == (100, None)
    assert problems == ()


def test_a_frame_cut_inside_the_transport_header_keeps_its_addresses() -> None:
    (sighting,), _ = seen(pcap(SYN, snaplen=40))

    assert sighting.packet.ip is not None
    assert sighting.packet.ip.protocol == 6
    assert sighting.packet.tcp is None
    assert sighting.span.text.endswith("IP 192.0.2.1 > 198.51.100.22: [|tcp]")


def test_a_frame_cut_inside_the_ip_header_is_a_problem_with_the_remedy() -> None:
    sightings, (problem,) = seen(pcap(SYN, snaplen=20))

    assert sightings == ()
    assert (problem.kind, problem.span.frame) == (Kind.MALFORMED, 1)
    assert "cut too short" in problem.message
    assert "tcpdump -s 0" in problem.hint


def test_the_upper_half_of_the_link_type_is_not_the_link_type() -> None:
    data = bytearray(pcap(SYN))
    struct.pack_into("<I", data, 20, 0x1400_0001)  # the file says that frames end in four octets of checksum

    assert len(seen(bytes(data))[0]) == 1


@pytest.mark.parametrize(
    ("data", "said", "hint"),
    [
        (b"", "is an empty file", ""),
        (b"\xd4\xc3\xb2\xa1", "it starts with `d4c3b2a1`", ""),
        (pcap()[:23], "it starts with `d4c3b2a1`", ""),
        (b"garbage of some length, not a capture", "it starts with `67617262`", ""),
        (b"\x0a\x0d\x0d\x0a" + b"\0" * 40, "this is a pcapng file", "editcap"),
        (b"\x1f\x8b\x08" + b"\0" * 40, "this is a gzip file", "gunzip"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 40, "this is a zstd file", "zstd -d"),
        (b"\xfd7zXZ\0" + b"\0" * 40, "this is an xz file", "unxz"),
    ],
)
def test_what_is_no_capture_is_named_for_what_it_is(data: bytes, said: str, hint: str) -> None:
    sightings, (problem,) = seen(data)

    assert sightings == ()
    assert problem.kind is Kind.UNREADABLE
    assert said in problem.message
    assert hint in problem.hint


def test_a_capture_without_frames_is_collected_and_empty() -> None:
    assert seen(pcap()) == ((), ())


def test_a_link_type_that_is_not_read_is_told_once() -> None:
    sightings, (problem,) = seen(pcap(SYN, SYN, link=127))

    assert sightings == ()
    assert (problem.kind, problem.message) == (
        Kind.UNMODELLED,
        "link type 127 is not read; none of its frames is used",
    )


def test_what_stands_before_a_torn_record_is_kept() -> None:
    whole = pcap(SYN, SYN)
    for left, said in (
        (len(whole) - 1, "the record claims 54 bytes, the file has 53 left"),
        (24 + 70 + 9, "9 bytes into"),
    ):
        sightings, (problem,) = seen(whole[:left])

        assert [s.span.frame for s in sightings] == [1]
        assert (problem.kind, problem.span.frame) == (Kind.MALFORMED, 2)
        assert said in problem.message


def test_a_record_that_claims_more_than_the_file_ends_the_reading() -> None:
    sightings, (problem,) = seen(pcap(SYN) + record(SYN, captured=0xFFFF_FFFF) + record(SYN))

    assert len(sightings) == 1
    assert "claims 4294967295 bytes" in problem.message


def test_a_record_whose_wire_length_is_smaller_than_what_it_holds_is_not_truncated() -> None:
    (sighting,), problems = seen(pcap() + record(SYN, wire=10))

    assert not sighting.truncated
    assert sighting.packet.length == len(SYN)
    assert problems == ()


def test_a_frame_that_cannot_be_decoded_is_a_problem_with_its_number() -> None:
    broken = ether(b"\x4f" + ip4(tcp())[1:30])
    sightings, (problem,) = seen(pcap(SYN, broken, SYN))

    assert [s.span.frame for s in sightings] == [1, 3]
    assert (problem.kind, problem.span.frame) == (Kind.MALFORMED, 2)


def test_ethertypes_that_are_not_followed_are_told_once_each() -> None:
    mpls, pppoe = ether(b"\0" * 40, 0x8847), ether(b"\0" * 40, 0x8864)
    _, problems = seen(pcap(mpls, pppoe, mpls, mpls))

    assert [(p.kind, p.span.frame) for p in problems] == [(Kind.UNMODELLED, 1), (Kind.UNMODELLED, 2)]
    assert "ethertype 0x8847" in problems[0].message


def test_problems_are_in_the_order_of_the_frames() -> None:
    unnamed = sll2(ip4(tcp()), ifindex=77)
    cut = sll2(b"\x45")
    _, problems = seen(pcap(unnamed, cut, link=276), tap=ANY)

    assert [p.span.frame for p in problems] == [1, 2]


def test_devices_of_a_cooked_capture_are_named_by_their_numbers() -> None:
    frames = [
        sll2(ip4(tcp()), ifindex=2, way=0),
        sll2(ip4(tcp()), ifindex=9, way=4),
        sll2(arp(), 0x0806, ifindex=2),
    ]
    sightings, problems = seen(pcap(*frames, link=276), tap=ANY, names={2: "eth0", 9: "qg-5d88ef18-33"})

    assert problems == ()
    assert [(s.device, s.direction) for s in sightings] == [
        ("eth0", Direction.IN),
        ("qg-5d88ef18-33", Direction.OUT),
        ("eth0", Direction.IN),
    ]
    assert "eth0  In  IP 192.0.2.1" in sightings[0].span.text
    assert "qg-5d88ef18-33 Out IP 192.0.2.1" in sightings[1].span.text


@pytest.mark.parametrize(
    ("names", "said"),
    [(None, "and no addr.json names them"), ({1: "lo"}, "no device of addr.json has the number `2`, `7`")],
)
def test_numbers_without_a_name_are_one_problem(names: dict[int, str] | None, said: str) -> None:
    frames = [sll2(ip4(tcp()), ifindex=number) for number in (7, 2, 7)]
    sightings, (problem,) = seen(pcap(*frames, link=276), tap=ANY, names=names)

    assert [s.device for s in sightings] == [None, None, None]
    assert (problem.kind, problem.span.frame) == (Kind.UNREADABLE, 1)
    assert said in problem.message
    assert "ip -d -j addr" in problem.hint
    assert "?     In  IP" in sightings[0].span.text


def test_a_cooked_capture_of_one_device_is_of_that_device() -> None:
    (sighting,), problems = seen(pcap(sll2(ip4(tcp()), ifindex=7), link=276))

    assert (sighting.device, problems) == ("eth0", ())


def test_the_fraction_may_be_more_than_a_second() -> None:
    (sighting,), _ = seen(pcap(SYN, kind=LITTLE, fractions=[4_000_000_000]))

    assert sighting.time_ns == (1_700_000_000 + 4000) * 1_000_000_000


def test_read_at_is_kept_in_every_span() -> None:
    sightings, problems = read_pcap(
        pcap(SYN, ether(b"\x45")), tap=TAP, file="eth0.pcap", names=None, read_at=5.0
    )

    assert [s.span.read_at for s in sightings] == [p.span.read_at for p in problems] == [5.0]
