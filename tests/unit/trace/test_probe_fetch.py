"""What kprobes are asked to fetch of a packet, and what a record shows of it."""

from __future__ import annotations

import gzip
import json
import re
import struct
from pathlib import Path

import pytest

from bothways.trace.probe.fetch import Entry, Layout, definition
from bothways.trace.probe.tracefs_tap import TAPS, Way, symbols_of
from bothways.trace.probe.tracker_entry import conntrack_words

REGISTERS = ("%di", "%si", "%dx", "%cx", "%r8", "%r9")
RECORDED = Path(__file__).parent / "recorded" / "tracefs-6.1.json.gz"
LAYOUT = Layout(json.loads(gzip.decompress(RECORDED.read_bytes()))["layout"])


def parts(line: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.split()[2:])


def test_a_definition_fetches_around_data() -> None:
    line = definition(Way("kprobe", "ip_rcv"), "ip_rcv", "g/e", LAYOUT, REGISTERS)
    assert line.startswith("p:g/e ip_rcv skb=%di:x64 ")
    fetched = parts(line)
    assert fetched["data"] == "+208(%di):x64"
    assert fetched["w0"] == "-96(+208(%di)):x64"
    assert fetched["w12"] == "+0(+208(%di)):x64"
    assert fetched["devname"] == "+0(+16(%di)):string"
    assert fetched["devns"] == "+144(+1272(+16(%di))):u32"


def test_a_pointer_to_a_pointer_is_followed() -> None:
    line = definition(Way("kprobe", "f", indirect=True), "f.constprop.0", "g/e", LAYOUT, REGISTERS)
    assert line.startswith("p:g/e f.constprop.0 skb=+0(%di):x64 ")
    assert parts(line)["data"] == "+208(+0(%di)):x64"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (Way("return", "f", -1), "r:g/e f ret=$retval:s32"),
        (Way("return", "f", -1, extra="pointer"), "r:g/e f ret=$retval:x64"),
        (Way("kprobe", "f", 1), "p:g/e f skb=%si:x64"),
        (Way("kprobe", "f", 1, extra="reason"), "p:g/e f skb=%si:x64 reason=%dx:u32"),
        (Way("kprobe", "f", -1), "p:g/e f"),
    ],
)
def test_without_offsets_a_definition_is_short(way: Way, expected: str) -> None:
    assert definition(way, "f", "g/e", None, REGISTERS) == expected


@pytest.mark.parametrize("tap", [tap for tap in TAPS if any(way.kind != "tracepoint" for way in tap.ways)])
def test_every_definition_fits_into_what_the_kernel_takes(tap: object) -> None:
    for way in tap.ways:  # type: ignore[attr-defined]  # pytest's parameters are objects
        if way.kind == "tracepoint":
            continue
        line = definition(way, way.target, f"bothways_4194304/p99_{way.target}", LAYOUT, REGISTERS)
        names = [part.split("=")[0] for part in line.split()[2:]]
        assert len(line) < 4096  # kernel/trace/trace.c, WRITE_BUFSIZE
        assert len(names) == len(set(names)) <= 128  # kernel/trace/trace_probe.h, MAX_TRACE_ARGS
        assert all(len(part) <= 63 for part in line.split()[2:])  # … MAX_ARGSTR_LEN
        assert all(re.fullmatch(r"[a-z_]\w*", name) for name in names)


def test_copies_that_a_compiler_made_are_tried_too() -> None:
    assert symbols_of("f")[:2] == ("f", "f.constprop.0")


def entry(first: bytes, second: bytes, **values: int | None) -> Entry:
    node = b"\0" * 16
    numbers: dict[str, int | None] = {"status": 0x18A, "mark": 0, "zone": 7, "state": 3, **values}
    return Entry(
        node + first + node + second, numbers["status"], numbers["mark"], numbers["zone"], numbers["state"]
    )


def one_way(source: bytes, port: int, destination: bytes, to: int, protocol: int = 6) -> bytes:
    return (
        source.ljust(16, b"\0")
        + struct.pack("!H", port)
        + struct.pack("<H", 2)
        + destination.ljust(16, b"\0")
        + struct.pack("!HBB", to, protocol, 0)
    )


THERE = one_way(b"\x0a\0\0\x01", 1000, b"\x0a\0\0\x64", 22)
BACK = one_way(b"\x0a\0\0\x02", 22, b"\x0a\0\0\x01", 1000)


def test_an_entry_in_words() -> None:
    words = conntrack_words(2, entry(THERE, BACK))
    assert words == {
        "info": "NEW",
        "status": ["SEEN_REPLY", "CONFIRMED", "SRC_NAT_DONE", "DST_NAT_DONE"],
        "state": "ESTABLISHED",
        "mark": 0,
        "zone": 7,
        "original": {
            "source": "10.0.0.1",
            "source_port": 1000,
            "destination": "10.0.0.100",
            "destination_port": 22,
            "protocol": "tcp",
        },
        "reply": {
            "source": "10.0.0.2",
            "source_port": 22,
            "destination": "10.0.0.1",
            "destination_port": 1000,
            "protocol": "tcp",
        },
    }


@pytest.mark.parametrize(
    ("information", "info"),
    [(0, "ESTABLISHED"), (3, "ESTABLISHED_REPLY"), (7, "UNTRACKED"), (-1, None), (5, None)],
)
def test_the_relation_stands_in_the_pointer(information: int, info: str | None) -> None:
    words = conntrack_words(information, None)
    assert words is not None
    assert words["info"] == info


def test_what_is_not_fetched_is_not_told() -> None:
    assert conntrack_words(None, None) is None
    words = conntrack_words(2, entry(THERE, BACK[:10], state=99))
    assert words is not None
    assert (words["reply"], words["state"]) == (None, None)


def test_icmp_has_no_ports_and_no_state() -> None:
    echo = one_way(b"\x0a\0\0\x01", 1, b"\x0a\0\0\x64", 8, protocol=1)
    words = conntrack_words(2, entry(echo, echo))
    assert words is not None
    original = words["original"]
    assert isinstance(original, dict)
    assert (original["protocol"], original["source_port"], words["state"]) == ("icmp", None, None)
