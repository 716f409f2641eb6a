"""Recorded beside predicted: columns, marks, what is left out."""

from __future__ import annotations

from bothways.facts.address import address
from bothways.facts.expected import Comparison, Row, SideBySide
from bothways.facts.packet import TCP, Flag, Ip, Packet, Tcp
from bothways.facts.prediction import Crossing
from bothways.facts.sighting import Direction, Sighting, Tap
from bothways.facts.span import Span
from bothways.report.side_by_side import render_side_by_side

ETH0, ANY = Tap("host1", "root", "eth0"), Tap("host1", "root", "any")


def packet(flags: Flag) -> Packet:
    return Packet(ip=Ip(address("192.0.2.1"), address("192.0.2.2"), TCP), tcp=Tcp(1024, 22, flags))


def seen(flags: Flag, time_ns: int) -> Sighting:
    return Sighting(ETH0, "eth0", Direction.IN, time_ns, packet(flags), Span("x.pcap", frame=1), 0)


def foreseen(flags: Flag, at_ns: int) -> Crossing:
    return Crossing(ETH0, Direction.IN, packet(flags), 0, at_ns)


SYN = Row(seen(Flag.SYN, 5_000_000), foreseen(Flag.SYN, 1_000))
LOST = Row(seen(Flag.RST, 7_500_000), None)
EXTRA = Row(None, foreseen(Flag.ACK, 3_000))


def rendered(*taps: Comparison, why_not: str = "") -> str:
    return render_side_by_side(SideBySide(None, None, taps, why_not), title="a test", width=80, colour=False)


def test_both_columns_count_from_their_first_packet() -> None:
    lines = rendered(Comparison(ETH0, (SYN, LOST, EXTRA))).splitlines()

    assert "       0.000 |      0.000 | 192.0.2.1.1024 > 192.0.2.2.22 [S]" in lines
    assert "<      2.500 |          - | 192.0.2.1.1024 > 192.0.2.2.22 [R]" in lines
    assert ">          - |      0.002 | 192.0.2.1.1024 > 192.0.2.2.22 [.]" in lines
    assert any("1 of 3 packets are both" in line for line in lines)
    assert any("0 of 1 tap" in line for line in lines)


def test_a_capture_of_all_devices_is_listed_where_it_differs() -> None:
    assert "host1:any  1 packet, all as predicted" in rendered(Comparison(ANY, (SYN,)))
    assert "host1:any\n" in rendered(Comparison(ANY, (SYN, LOST)))


def test_what_is_not_compared_is_counted() -> None:
    text = rendered(Comparison(ETH0, (SYN,), later=3, unwatched=1), Comparison(ANY, ()))

    assert "and 3 packets recorded after the walk's end" in text
    assert "and 1 packet predicted for after the capture's end" in text
    assert "host1:any  nothing recorded, nothing predicted" in text


def test_nothing_to_compare_is_said() -> None:
    assert "Nothing to compare: no capture shows the connection." in rendered(
        why_not="no capture shows the connection"
    )
