"""The filter as the programs have it: what is laid out admits what the words say, and nothing else."""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.trace.probe import config
from bothways.trace.probe.options import parse_options

TERM = struct.Struct("=16s16s16s16s32s32s8HII")
Packet = tuple[str, str, int, int, int, int]  # source, destination, ports, protocol, flags
PORTED = {6, 17}


def packed(filter_: object, *more: str) -> bytes:
    return config.pack(parse_options(["--filter", json.dumps(filter_), *more]))


def octets(address: str) -> int:
    return int.from_bytes(ipaddress.ip_address(address).packed.ljust(16, b"\0"), "little")


def admits(data: bytes, packet: Packet) -> bool:
    """What ``term_holds`` of bpf/filter.h does, with numbers of any size."""
    count = data[-struct.calcsize("=8B2Q8I")]
    return any(holds(TERM.unpack_from(data, at * TERM.size), packet) for at in range(count)) or not count


def holds(term: tuple[object, ...], packet: Packet) -> bool:
    source, destination, source_port, destination_port, protocol, flags = packet
    values = [int.from_bytes(each, "little") for each in term[:4] if isinstance(each, bytes)]
    hosts, masks = term[4], term[5]
    assert isinstance(hosts, bytes)
    assert isinstance(masks, bytes)
    ends = octets(source), octets(destination)

    def at(address: int, wanted: int, mask: int) -> bool:
        return (address ^ wanted) & mask == 0

    def port_in(port: int, low: object, span: object) -> bool:
        assert isinstance(low, int)
        assert isinstance(span, int)
        return (port - low) & 0xFFFF <= span

    both = [
        any(
            at(end, int.from_bytes(hosts[h : h + 16], "little"), int.from_bytes(masks[h : h + 16], "little"))
            for end in ends
        )
        for h in (0, 16)
    ]
    lowest, spans = (term[10], term[11]), (term[12], term[13])
    family = 6 if ":" in source else 4
    what = protocol | family << 8 | flags << 16 | (protocol in PORTED) << 24
    wanted, mask = term[14], term[15]
    assert isinstance(wanted, int)
    assert isinstance(mask, int)
    return (
        what & mask == wanted
        and at(ends[0], values[0], values[1])
        and at(ends[1], values[2], values[3])
        and all(both)
        and port_in(source_port, term[6], term[7])
        and port_in(destination_port, term[8], term[9])
        and all(
            port_in(source_port, low, span) or port_in(destination_port, low, span)
            for low, span in zip(lowest, spans, strict=True)
        )
    )


ACK: Packet = ("10.0.0.1", "10.0.0.2", 17350, 22, 6, 16)
SIX: Packet = ("fd00::1", "fd00::2", 17350, 22, 6, 2)
PING: Packet = ("10.0.0.1", "10.0.0.2", 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("term", "yes", "no"),
    [
        ({}, [ACK, SIX, PING], []),
        ({"family": 4}, [ACK, PING], [SIX]),
        ({"protocol": 6}, [ACK, SIX], [PING]),
        ({"host": "10.0.0.2/32"}, [ACK, PING], [SIX]),
        ({"source": "10.0.0.2/32"}, [], [ACK, SIX, PING]),
        ({"destination": "10.0.0.0/30"}, [ACK, PING], [SIX]),
        ({"destination": "10.0.0.4/30"}, [], [ACK, PING]),
        ({"host": "fd00::/64"}, [SIX], [ACK, PING]),
        ({"source": "0.0.0.0/0"}, [ACK, PING], [SIX]),
        ({"port": [22, 22]}, [ACK, SIX], [PING]),
        ({"port": [0, 65535]}, [ACK, SIX], [PING]),
        ({"source_port": [22, 22]}, [], [ACK, SIX, PING]),
        ({"destination_port": [20, 30]}, [ACK, SIX], [PING]),
        ({"flags_mask": 18, "flags_value": 16}, [ACK], [SIX, PING]),
        ({"flags_mask": 2, "flags_value": 2}, [SIX], [ACK, PING]),
        ({"family": 4, "host": "fd00::1/128"}, [], [ACK, SIX, PING]),
    ],
)  # fmt: skip
def test_a_term_admits(term: dict[str, object], yes: list[Packet], no: list[Packet]) -> None:
    data = packed([[term]])
    assert len(data) == config.SIZE
    assert [packet for packet in yes if not admits(data, packet)] == []
    assert [packet for packet in no if admits(data, packet)] == []


def test_one_of_several_terms_is_enough_and_none_is_everything() -> None:
    two = packed([[{"protocol": 1}], [{"port": [80, 80]}]])
    assert admits(two, PING)
    assert not admits(two, ACK)
    assert admits(packed([]), ACK)


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(addresses, st.integers(0, 128), addresses)
def test_a_network_holds_the_addresses_that_python_says(base: str, length: int, other: str) -> None:
    most = ipaddress.ip_address(base).max_prefixlen
    network = ipaddress.ip_network((base, min(length, most)), strict=False)
    other_address = ipaddress.ip_address(other)
    packet: Packet = (other, other, 1, 2, 17, 0)
    expected = other_address.version == network.version and other_address in network
    assert admits(packed([[{"source": str(network)}]]), packet) is expected


@given(st.text("abq-*?", min_size=1, max_size=12), st.text("abq-", min_size=1, max_size=15))
def test_the_kernel_part_of_a_glob_never_refuses_what_the_glob_takes(glob: str, name: str) -> None:
    data = packed([], "--device", "x" + glob)
    begin, mask = struct.unpack_from("=16s16s", data, config.TERMS * TERM.size)
    octets_ = ("x" + name).encode()[:15].ljust(16, b"\0")
    passed = all((one ^ other) & bits == 0 for one, other, bits in zip(octets_, begin, mask, strict=True))
    if fnmatch.fnmatchcase(octets_.rstrip(b"\0").decode(), "x" + glob):
        assert passed
