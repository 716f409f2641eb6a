from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openflow_samples import arrival, flow_of, packet

from bothways.facts.openflow import LOCAL, Port
from bothways.facts.packet import Packet
from bothways.facts.span import Span
from bothways.model.openflow.key import Key, of_arrival
from bothways.model.openflow.match import Fit, fit, open_terms, words
from bothways.model.openflow.passage import Arrival

TCP = "tcp,in_port=5,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2"
SYN = f"{TCP},nw_ttl=64,tp_src=1000,tp_dst=22,tcp_flags=syn"
WHO = "arp,in_port=LOCAL,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.9"


def key_of(text: str, port: Port | None = None) -> Key:
    return of_arrival(arrival(text), port)


@pytest.mark.parametrize(
    ("match", "what", "expected"),
    [
        ("", SYN, Fit.YES),
        ("in_port=5", SYN, Fit.YES),
        ("in_port=4", SYN, Fit.NO),
        ("in_port=LOCAL", WHO, Fit.YES),
        ("in_port=65534", WHO, Fit.YES),
        ("ip,nw_dst=10.0.0.0/24", SYN, Fit.YES),
        ("ip,nw_dst=10.0.1.0/24", SYN, Fit.NO),
        ("tcp,tp_dst=22,tcp_flags=+syn-ack", SYN, Fit.YES),
        ("tcp,tcp_flags=+ack", SYN, Fit.NO),
        ("tcp,tcp_flags=0x002", SYN, Fit.YES),
        ("udp", SYN, Fit.NO),
        ("ipv6", SYN, Fit.NO),
        ("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", WHO, Fit.YES),
        ("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", SYN, Fit.NO),
        ("arp,arp_tpa=10.0.0.9,arp_op=1", WHO, Fit.YES),
        ("arp,nw_dst=10.0.0.9", WHO, Fit.YES),
        ("tun_id=0", SYN, Fit.YES),
        ("tun_id=0x43e", SYN, Fit.NO),
        ("tun_id=0x43e", f"{SYN},tun_id=0x43e", Fit.YES),
        ("reg0=0,metadata=0,ct_state=-trk", SYN, Fit.YES),
        ("ct_state=+trk", SYN, Fit.NO),
        ("xreg0=1", SYN, Fit.NO),
        ("vlan_tci=0x0000/0x1fff", SYN, Fit.YES),
        ("dl_vlan=7", f"{SYN},dl_vlan=7", Fit.YES),
        ("dl_vlan=8", f"{SYN},dl_vlan=7", Fit.NO),
        # The packet does not say the priority of its tag, nor the mark that the stack gave it.
        ("dl_vlan=7,dl_vlan_pcp=3", f"{SYN},dl_vlan=7", Fit.UNKNOWN),
        ("dl_vlan=8,dl_vlan_pcp=3", f"{SYN},dl_vlan=7", Fit.NO),
        ("pkt_mark=0x1", SYN, Fit.UNKNOWN),
        # A term that the parser kept as text only.
        ("ip,frobnicate=1", SYN, Fit.UNKNOWN),
        ("udp,frobnicate=1", SYN, Fit.NO),
        # Tables see no ports in any fragment.
        ("tcp,tp_dst=22", f"{SYN},nw_frag=first", Fit.NO),
        ("tcp,tp_dst=0", f"{SYN},nw_frag=first", Fit.YES),
        ("ip,nw_frag=later", f"{TCP},nw_frag=later", Fit.YES),
    ],
)
def test_a_flow_matches(match: str, what: str, expected: Fit) -> None:
    assert fit(flow_of(f"{match} actions=drop"), key_of(what)) is expected


def test_what_the_evidence_does_not_hold_is_not_known() -> None:
    bare = Packet(ip=packet(SYN).ip)
    key = of_arrival(Arrival(5, bare), None)

    assert fit(flow_of("ip,dl_src=02:00:00:00:00:01 actions=drop"), key) is Fit.UNKNOWN
    assert fit(flow_of("tcp,tp_dst=22 actions=drop"), key) is Fit.UNKNOWN
    assert open_terms(flow_of("tcp,tp_dst=22 actions=drop"), key) == "tp_dst=22"


def test_a_tunnel_tells_what_its_options_say() -> None:
    port = Port(
        "vx", 5, Span("ports"), kind="vxlan", options={"remote_ip": "10.1.0.1", "local_ip": "10.1.0.2"}
    )
    key = of_arrival(Arrival(5, packet(SYN)), port)

    assert fit(flow_of("tun_src=10.1.0.1,tun_dst=10.1.0.2 actions=drop"), key) is Fit.YES
    assert fit(flow_of("tun_src=10.1.0.9 actions=drop"), key) is Fit.NO
    assert fit(flow_of("tun_id=7 actions=drop"), key) is Fit.UNKNOWN


def test_words_are_those_of_the_dump() -> None:
    flow = flow_of("table=3,priority=7,tcp,tp_dst=22 actions=drop")

    assert words(flow) == "priority=7,tcp,tp_dst=22"


def test_the_local_port_has_one_number_inside_and_out() -> None:
    key = key_of(WHO)

    assert key.in_port == LOCAL
    assert key.part("in_port", 0, 15) == (0xFFFE, 0xFFFF)


@given(st.integers(0, 2**64 - 1), st.integers(0, 63), st.integers(0, 63))
def test_bits_that_are_written_are_read_back_and_no_others_change(value: int, one: int, two: int) -> None:
    low, high = min(one, two), max(one, two)
    whole = (1 << (high - low + 1)) - 1
    key = key_of(SYN)
    key.put("xreg1", (2**64 - 1, -1), 2**64 - 1)

    key.put("xreg1", ((value & whole) << low, whole << low), whole << low)

    assert key.part("xreg1", low, high) == (value & whole, whole)
    assert key.get("xreg1")[0] | whole << low == 2**64 - 1
    assert key.get("reg2")[0] == key.get("xreg1")[0] >> 32
