"""The normal form of flows: as ovs-ofctl parse-flow writes it, and stable."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_written import written

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracles" / "openflow" / "flows.jsonl.gz"


def form(text: str) -> str:
    (row,) = parse_flows(text, file="f").rows
    return written(row)


# what a person or a controller writes -> what ovs-ofctl 3.1 prints of it
FORMS = [
    ("actions=drop", "actions=drop"),
    ("table=0,priority=32768,actions=1", "actions=output:1"),
    ("tcp,tp_dst=80,priority=7,table=3 actions=LOCAL", "table:3 priority=7,tcp,tp_dst=80 actions=LOCAL"),
    ("nw_src=10.0.0.1 actions=NORMAL", "actions=NORMAL"),  # without its prerequisite
    ("dl_type=0x800,nw_src=10.0.0.1/255.255.255.0 actions=1", "ip,nw_src=10.0.0.0/24 actions=output:1"),
    ("reg1=0,in_port=2,ct_state=-new+trk,ip actions=1",
     "ct_state=-new+trk,ip,reg1=0,in_port=2 actions=output:1"),
    ("dl_vlan=5,dl_vlan_pcp=3 actions=strip_vlan,2", "dl_vlan=5,dl_vlan_pcp=3 actions=strip_vlan,output:2"),
    ("vlan_tci=0x1000/0x1000 actions=drop", "vlan_tci=0x1000/0x1000 actions=drop"),
    ("cookie=0x5,idle_timeout=60,hard_timeout=9,send_flow_rem actions=drop",
     "cookie:0x5 idle:60 hard:9 send_flow_rem actions=drop"),
    ("actions=set_field:1.2.3.4->ip_src,goto_table:5", "actions=mod_nw_src:1.2.3.4,resubmit(,5)"),
    ("actions=set_field:7->reg2,load:0->NXM_NX_REG1[0..3]",
     "actions=load:0x7->NXM_NX_REG2[],load:0->NXM_NX_REG1[0..3]"),
    ("actions=set_field:0x70/0xf0->reg2", "actions=load:0x7->NXM_NX_REG2[4..7]"),
    ("actions=set_field:fe80::1->ipv6_dst",
     "actions=load:0x1->NXM_NX_IPV6_DST[0..63],load:0xfe80000000000000->NXM_NX_IPV6_DST[64..127]"),
    ("actions=move:eth_src->eth_dst,push:reg0,pop:reg1[0..7]",
     "actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],push:NXM_NX_REG0[],pop:NXM_NX_REG1[0..7]"),
    ("actions=push_vlan:0x8100,set_field:4100->vlan_vid,goto_table:3",
     "actions=push_vlan:0x8100,set_vlan_vid:4,goto_table:3"),
    ("reg0=1 actions=push_vlan:0x8100,set_field:4100->vlan_vid,goto_table:3",
     "reg0=0x1 actions=push_vlan:0x8100,set_field:4100->vlan_vid,goto_table:3"),
    ("actions=ct(zone=5,commit,table=3,exec(set_field:1->ct_mark),nat(dst=1.2.3.4:80-90,random))",
     "actions=ct(commit,table=3,zone=5,nat(dst=1.2.3.4:80-90,random),exec(load:0x1->NXM_NX_CT_MARK[]))"),
    ("actions=controller(max_len=65535,id=4),controller:20", "actions=controller(id=4),CONTROLLER:20"),
    ("actions=learn(table=20,priority=1,hard_timeout=300,NXM_OF_VLAN_TCI[0..11],load:0->NXM_OF_VLAN_TCI[])",
     "actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],load:0->NXM_OF_VLAN_TCI[])"),
    ("actions=note:01.02", "actions=note:01.02.00.00.00.00"),
    ("actions=conjunction(3,1/2),conjunction(4,2/3)", "actions=conjunction(3,1/2),conjunction(4,2/3)"),
    ("in_port=1 actions=meter:3,1", "in_port=1 actions=meter:3,output:1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_the_normal_form(text: str, expected: str) -> None:
    assert form(text) == expected


def test_what_cannot_be_read_stands_as_it_was_printed() -> None:
    (row,) = parse_flows("priority=1,odd=5 actions=odd(3),1", file="f").rows

    assert written(row) == "priority=1,odd=5 actions=odd(3),output:1"
    assert row.unread == ("odd=5", "odd(3)")


TERMS = st.sampled_from(
    ["ip", "tcp", "arp", "ipv6", "udp6", "in_port=3", "dl_vlan=7", "reg4=0x10/0xf0", "nw_src=10.1.0.0/16",
     "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "tp_dst=0x10/0xfff0", "ct_state=+est-rel", "tun_id=5",
     "metadata=0x5/0xff", "ct_label=0x1/0xffffffff", "nw_tos=32", "xreg1=0x500000006", "tcp_flags=+syn-ack",
     "ipv6_src=fe80::/64", "arp_op=1", "pkt_mark=9", "conj_id=4", "nw_frag=later", "vlan_tci=0x0000/0x1fff"]
)  # fmt: skip
ACTIONS = st.sampled_from(
    ["1", "NORMAL", "drop", "resubmit(,5)", "resubmit(3,)", "dec_ttl", "set_field:5->reg1", "strip_vlan",
     "mod_dl_src:02:00:00:00:00:01", "load:0x5->reg0[3..9]", "move:reg0[0..15]->reg1[16..31]", "ct(commit)",
     "ct(nat,table=4,zone=reg6[0..15])", "group:9", "clone(mod_nw_dst:1.2.3.4,4)", "output:reg1[0..15]",
     "learn(table=3,in_port=5,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])", "set_tunnel:0x51"]
)  # fmt: skip


@given(st.lists(TERMS, max_size=5), st.lists(ACTIONS, max_size=4), st.integers(0, 254), st.integers(0, 65535))
def test_the_normal_form_of_a_normal_form_is_the_same(
    terms: list[str], actions: list[str], table: int, priority: int
) -> None:
    once = form(f"table={table},priority={priority},{','.join(terms)} actions={','.join(actions)}")
    head, _, rest = once.partition("actions=")
    again = head.replace("table:", "table=").replace(" ", ",") + " actions=" + rest

    assert form(again) == once


@given(st.text(alphabet="abcdefilnoprtu0123456789=,:()[]->+/._ ", max_size=60))
def test_no_text_makes_the_writer_fail(text: str) -> None:
    for row in parse_flows(f"table=0,{text} actions={text}", file="f").rows:
        assert "actions=" in written(row)


@pytest.mark.shared
def test_thousands_of_flows_have_the_form_that_ovs_ofctl_gave_them() -> None:
    with gzip.open(ORACLE, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row.get("canonical")]
    wrong = [row["flow"] for row in rows if form(row["flow"]) != row["canonical"]]

    assert len(rows) > 4000
    assert len(wrong) <= 3, wrong
