"""A capture file that is written is read back: by this room, by capinfos' cousins tshark and tcpdump."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.capture.compose_frame import compose_cooked, compose_frame
from bothways.capture.pcapng import read_pcapng
from bothways.capture.pcapng_write import SLL2, Interface, Record, write_pcapng
from bothways.facts.address import Mac, address
from bothways.facts.packet import TCP, Ethernet, Flag, Ip, Packet, Tcp
from bothways.facts.sighting import Direction, Tap

HERE = Tap("host1", "root", "eth0")
SYN = Packet(
    Ethernet(Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02")),
    Ip(address("192.0.2.1"), address("192.0.2.2"), TCP, 64),
    tcp=Tcp(1024, 22, Flag.SYN, 7, None, 9, 0),
)
FRAME = compose_frame(SYN)


@given(st.lists(st.integers(0, (1 << 63) - 1), max_size=5), st.sampled_from(["", "in", "out"]))
def test_times_and_ways_are_read_back(times: list[int], way: str) -> None:
    data = write_pcapng([Interface("eth0")], [Record(0, time, FRAME, way) for time in times])

    (capture,), problems = read_pcapng(data, tap=HERE, file="x.pcapng", names=None)

    assert problems == ()
    assert [each.time_ns for each in capture.sightings] == times
    assert {each.direction for each in capture.sightings} <= {
        {"in": Direction.IN, "out": Direction.OUT}.get(way)
    }
    assert {each.packet.source for each in capture.sightings} <= {SYN.source}


def test_a_file_without_packets_describes_its_taps() -> None:
    (capture,), problems = read_pcapng(
        write_pcapng([Interface("eth0")], []), tap=HERE, file="x.pcapng", names=None
    )

    assert (capture.tap, capture.sightings, problems) == (HERE, (), ())


@pytest.mark.needs("tshark")
def test_tshark_names_every_tap(tmp_path: Path) -> None:
    cooked = compose_cooked(FRAME, ifindex=5, packet_type=4)
    taps = [Interface("host1:eth0", comment="predicted"), Interface("host1:any", SLL2)]
    path = tmp_path / "two.pcapng"
    path.write_bytes(
        write_pcapng(taps, [Record(0, 5, FRAME, "out", "SYN"), Record(1, 1_000_000_007, cooked)])
    )

    fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "sll.ifindex", "tcp.flags.str"]
    argv = ["tshark", "-r", str(path), "-T", "fields", "-E", "separator=|"]
    result = subprocess.run(
        [*argv, *(word for field in fields for word in ("-e", field))],
        capture_output=True,
        text=True,
        check=True,
    )

    one, two = (line.split("|") for line in result.stdout.splitlines())
    assert one[:4] == ["host1:eth0", "0.000000005", "SYN", ""]
    assert two[:4] == ["host1:any", "1.000000007", "", "5"]
    assert "S" in one[4]


@pytest.mark.needs("tcpdump")
def test_tcpdump_reads_one_tap(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    path.write_bytes(write_pcapng([Interface("eth0")], [Record(0, 1_000_000_000, FRAME)]))

    result = subprocess.run(["tcpdump", "-nnSttr", path], capture_output=True, text=True, check=True)

    assert result.stdout == "1.000000 IP 192.0.2.1.1024 > 192.0.2.2.22: Flags [S], seq 7, win 9, length 0\n"
