"""A recorded segment as octets, and as a packet: both ways say the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bothways.capture.layers import Layers
from bothways.capture.network_layer import decode_ip_by_version
from bothways.conform.generation import KINDS, fresh_cases
from bothways.conform.mixed_generation import MIXED_KINDS
from bothways.conform.segment import DPORT, SPORT, A, B, ip_octets, packet_of, segment_octets
from bothways.facts.packet import TCP, Flag, Tcp


def test_the_short_way_and_the_way_over_a_wire_agree() -> None:
    held = 0
    for case in fresh_cases(11, 600):
        for segment in () if case.mixed else case.segments:
            ends, ports = ((A, B), (SPORT, DPORT)) if segment["dir"] == "A" else ((B, A), (DPORT, SPORT))
            raw = ip_octets(ends, segment_octets(segment, ends, ports))
            seen, ours = decode_ip_by_version(raw, len(raw)), packet_of(segment, nat=False)
            if not isinstance(seen, Layers):
                assert "trunc" in segment or "doff" in segment
                assert ours.tcp is None or ours.tcp.header_ok is False
                continue
            held += 1
            assert ours.ip is not None
            assert seen.packet.ip is not None
            assert (ours.ip.src, ours.ip.dst) == (seen.packet.ip.src, seen.packet.ip.dst)
            assert ours.tcp is not None
            assert seen.packet.tcp is not None
            assert plain(ours.tcp) == plain(seen.packet.tcp)
    assert held > 2_000


def plain(tcp: Tcp) -> Tcp:
    """Without what a capture need not say."""
    ack = tcp.ack if tcp.flags & Flag.ACK else None
    return replace(tcp, ack=ack, header_ok=None, options=replace(tcp.options, size=None))


def test_a_header_that_is_cut_is_none() -> None:
    segment = {"dir": "A", "flags": "A", "seq": 1, "ack": 1, "win": 1, "len": 0, "trunc": 12}

    packet = packet_of(segment, nat=True)
    assert packet.tcp is None
    assert packet.ip is not None
    assert packet.ip.protocol == TCP


def test_the_same_seed_gives_the_same_sequences() -> None:
    one, again, other = (list(fresh_cases(seed, 200)) for seed in (4, 4, 5))

    assert one == again
    assert [each.segments for each in one] != [each.segments for each in other]
    assert {each.kind for each in one if not each.mixed} == set(KINDS)
    assert {each.nat for each in one} == {True, False}


@pytest.mark.parametrize("seed", range(3))
def test_fresh_sequences_reach_far(seed: int) -> None:
    cases = list(fresh_cases(seed, 2000))

    settings = {setting for case in cases for setting in case.sysctls}
    assert {("nf_conntrack_tcp_loose", 0), ("nf_conntrack_tcp_be_liberal", 1)} <= settings
    options = {name for case in cases for each in case.segments for name in each.get("opts", ())}
    assert set(MIXED_KINDS) <= {each.kind for each in cases}
    assert {(each.family, each.nat) for each in cases} == {(4, True), (4, False), (6, True), (6, False)}
    assert len([each for each in cases if any("wait" in segment for segment in each.segments)]) == 1
    assert options == {"mss", "wscale", "sackok", "ts", "sack", "raw"}
