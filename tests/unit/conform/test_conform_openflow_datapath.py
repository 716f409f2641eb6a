"""Datapath actions as ``ofproto/trace`` prints them: copies, and their fields."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from bothways.conform.openflow_datapath import NotFollowedError, Sent, interpret, thresholds
from bothways.conform.openflow_packet import PacketTextError, arrival_of, read_packet
from bothways.model.openflow.key import of_arrival

PACKET = {"in_port": 1, "eth_src": 1, "nw_ttl": 64, "vlan_tci": 0}


def sent(actions: str, size: int | None = None) -> list[tuple[str, dict[str, int]]]:
    """Copies, and the fields in which they differ from the packet."""
    copies: list[Sent] = interpret(actions, PACKET, size)
    return [(copy.port, {n: v for n, v in copy.fields.items() if PACKET.get(n, 0) != v}) for copy in copies]


@pytest.mark.parametrize(
    ("actions", "copies"),
    [
        ("drop", []),
        ("2,3", [("2", {}), ("3", {})]),
        ("set(ipv4(ttl=63)),2", [("2", {"nw_ttl": 63})]),
        ("set(ipv4(src=10.0.0.1/255.0.0.0)),2", [("2", {"nw_src": int(IPv4Address("10.0.0.0"))})]),
        ("set(eth(dst=00:00:00:00:00:09)),2", [("2", {"eth_dst": 9})]),
        ("push_vlan(vid=10,pcp=0),2,pop_vlan,3", [("2", {"vlan_tci": 0x100A}), ("3", {})]),
        (
            "push_vlan(tpid=0x88a8,vid=10,pcp=1),push_vlan(vid=20,pcp=0),2",
            [("2", {"vlan_tci": 0x1014, "vlan_tci1": 0x300A})],
        ),
        ("clone(set(ipv4(ttl=1)),2),3", [("2", {"nw_ttl": 1}), ("3", {})]),
        ("set(skb_mark(0x7)),2", [("2", {"pkt_mark": 7})]),
        ("set(tunnel(tun_id=0x43e,dst=1.1.1.1,ttl=64,flags(df|key))),2",
         [("2", {"tun_id": 0x43E, "tun_dst": 0x01010101})]),
        ("ct(commit,zone=5,nat(src=10.0.0.9)),recirc(0x4),2", [("2", {"nw_src": 0x0A000009})]),
        (
            "ct(commit,nat(src=10.0.0.9-10.0.0.12:5000-6000,hash)),2",
            [("2", {"nw_src": 0x0A000009, "tp_src": 5000})],
        ),
        ("ct(commit,nat(dst=10.0.0.9:80)),2", [("2", {"nw_dst": 0x0A000009, "tp_dst": 80})]),
        ("ct(commit,nat(dst=2001:10::5-2001:10::9)),2", [("2", {"ipv6_dst": (0x20010010 << 96) + 5})]),
        ("ct(commit,nat(dst=[fd00::5]-[fd00::9]:80-90)),2",
         [("2", {"ipv6_dst": (0xFD << 120) + 5, "tp_dst": 80})]),
        ("userspace(pid=0,controller(reason=1,dont_send=0)),2", [("2", {})]),
    ],
)  # fmt: skip
def test_what_a_datapath_sends(actions: str, copies: list[tuple[str, dict[str, int]]]) -> None:
    assert sent(actions) == copies


def test_a_length_decides_between_two_lists() -> None:
    actions = "check_pkt_len(size=100,gt(2),le(set(ipv4(ttl=1)),3)),4"

    assert thresholds(actions) == (100,)
    assert sent(actions, 101) == [("2", {}), ("4", {})]
    assert sent(actions, 100) == [("3", {"nw_ttl": 1}), ("4", {})]


def test_a_label_covers_the_packet_until_it_is_popped() -> None:
    pushed = "push_mpls(label=7,tc=0,ttl=64,bos=1,eth_type=0x8847)"
    copies = interpret(f"{pushed},2,pop_mpls(eth_type=0x800),3", PACKET)

    assert [copy.port for copy in copies] == ["2", "3"]
    under, bare = (copy.fields for copy in copies)
    assert (under["eth_type"], under["mpls_label"], "nw_ttl" in under) == (0x8847, 7, False)
    assert (bare["eth_type"], bare["nw_ttl"]) == (0x800, PACKET["nw_ttl"])


@pytest.mark.parametrize(
    "actions", ["push_nsh(flags=0),2", "set(nsh(ttl=1)),2", "check_pkt_len(size=9,gt(2),le(3))"]
)
def test_what_is_not_followed_is_said(actions: str) -> None:
    with pytest.raises(NotFollowedError):
        interpret(actions, PACKET)


def test_a_printed_packet_leaves_nothing_unknown() -> None:
    text = (
        "icmp6,reg1=0x5,metadata=0x7,in_port=LOCAL,dl_vlan=10,dl_vlan_pcp=3,dl_src=02:00:00:00:00:01,"
        "dl_dst=02:00:00:00:00:02,ipv6_src=fd00::1,ipv6_dst=fd00::2,ipv6_label=0x00003,nw_tos=0,nw_ecn=0,"
        "nw_ttl=255,nw_frag=no,icmp_type=135,icmp_code=0,nd_target=fd00::9,nd_sll=02:00:00:00:00:01"
    )

    key = of_arrival(arrival_of(read_packet(text)), None)

    wanted = {"reg1": 5, "metadata": 7, "ipv6_label": 3, "vlan_tci": 0x700A, "icmp_type": 135, "pkt_mark": 0}
    for name, value in wanted.items():
        got, known = key.get(name)
        assert (name, got & 0xFFFF, known & 0xFFFF) == (name, value, 0xFFFF)


def test_a_second_tag_has_a_field_of_its_own() -> None:
    printed = read_packet("dl_vlan=20,dl_vlan_pcp=0,dl_vlan1=10,dl_vlan_pcp1=1,in_port=3")

    assert (printed.fields["vlan_tci"], printed.fields["vlan_tci1"]) == (0x1014, 0x300A)
    assert "vlan_tci1" not in read_packet("vlan_tci=0x0000,vlan_tci1=0x0000").fields


def test_a_term_that_cannot_be_read_is_told() -> None:
    with pytest.raises(PacketTextError, match="never_heard"):
        arrival_of(read_packet("in_port=1,never_heard=5"))
