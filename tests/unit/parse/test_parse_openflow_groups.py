"""Groups, ``learn`` and the actions that choose by a hash, as ``ovs-ofctl`` prints them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.openflow import Action, Group, LearnSpec
from bothways.facts.span import Span
from bothways.parse.openflow import read_flow
from bothways.parse.openflow_groups import parse_groups, read_group, with_ports


def group(text: str) -> Group:
    found, problems = read_group(Span("groups", 1, text=text))
    assert found is not None, problems
    return found


def action(text: str) -> Action:
    flow, problems = read_flow(Span("flows", 1, text=f"ip actions={text}"))
    assert flow is not None
    assert problems == []
    return flow.actions[0]


def test_a_dump_has_its_header_and_its_groups() -> None:
    parsed = parse_groups(
        "OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):\n"
        " group_id=7,type=all,bucket=bucket_id:0,actions=output:2,set_field:10.0.0.9->ip_src,"
        "bucket=bucket_id:1,actions=LOCAL\n"
        " group_id=8,type=ff,bucket=bucket_id:0,watch_port:3,actions=output:3,"
        "bucket=bucket_id:1,watch_group:7,actions=drop\n",
        file="g",
    )

    first, second = parsed.rows
    assert (first.number, first.kind, [bucket.identity for bucket in first.buckets]) == (7, "all", [0, 1])
    assert [each.name for each in first.buckets[0].actions] == ["output", "set_field"]
    assert first.buckets[0].actions[1].column == 58
    assert (second.kind, second.buckets[0].watch_port, second.buckets[1].watch_group) == (
        "fast_failover",
        3,
        7,
    )
    assert second.buckets[1].actions == ()
    assert parsed.problems == ()


@pytest.mark.parametrize(
    ("text", "method", "parameter", "fields"),
    [
        ("type=select,bucket=output:1", None, 0, ()),
        ("type=select,selection_method=dp_hash,bucket=output:1", "dp_hash", 0, ()),
        (
            "type=select,selection_method=hash,selection_method_param=0x4d,fields(ip_dst,tcp_src),bucket=output:1",
            "hash",
            77,
            (("nw_dst", None), ("tcp_src", None)),
        ),
        (
            "type=select,selection_method=hash,fields=ip_src=255.255.255.0,bucket=output:1",
            "hash",
            0,
            (("nw_src", 0xFFFFFF00),),
        ),
        (
            "type=select,selection_method=hash,fields(vlan_vid),bucket=output:1",
            "hash",
            0,
            (("vlan_tci", 0x1FFF),),
        ),
    ],
)
def test_how_buckets_are_chosen(
    text: str, method: str | None, parameter: int, fields: tuple[tuple[str, int | None], ...]
) -> None:
    found = group(f"group_id=1,{text}")

    assert (found.selection_method, found.selection_param, found.selection_fields) == (
        method,
        parameter,
        fields,
    )
    assert len(found.buckets) == 1


def test_buckets_have_weights_and_ports_by_name() -> None:
    found = group("group_id=1,type=select,bucket=weight:100,watch_port:eth0,actions=output:1,bucket=output:2")

    assert [bucket.weight for bucket in found.buckets] == [100, None]
    assert (found.buckets[0].watch_port, found.buckets[0].watch_port_name) == (None, "eth0")
    assert with_ports(found, {"eth0": 4}).buckets[0].watch_port == 4


def test_what_cannot_be_read_is_told() -> None:
    kind, problems = read_group(Span("g", 1, text="group_id=1,type=frob,bucket=output:1"))
    odd = group("group_id=1,type=all,new_thing=5,bucket=output:1")

    assert kind is None
    assert problems
    assert odd.unread == ("new_thing=5",)
    assert [p.kind.value for p in parse_groups("hello\n", file="g").problems] == ["malformed"]


def test_what_learn_writes() -> None:
    learned = action(
        "learn(table=9,priority=5,hard_timeout=30,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
        "eth_type=0x800,load:0x2->NXM_NX_REG3[4..7],load:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[],"
        "output:NXM_OF_IN_PORT[])"
    )

    assert (learned.args["table"], learned.args["priority"]) == (9, 5)
    rules = learned.args["rules"]
    assert isinstance(rules, tuple)
    told = [(r.does, r.value, r.source, r.source_low, r.source_high, r.field, r.low, r.high) for r in rules]
    assert told == [
        ("match", None, "vlan_tci", 0, 11, "vlan_tci", 0, 11),
        ("match", None, "eth_src", 0, 47, "eth_dst", 0, 47),
        ("match", 0x800, None, 0, 0, "eth_type", 0, 15),
        ("load", 2, None, 0, 0, "reg3", 4, 7),
        ("load", None, "tun_id", 0, 31, "reg0", 0, 31),
        ("output", None, "in_port", 0, 15, None, 0, 0),
    ]
    assert all(isinstance(rule, LearnSpec) for rule in rules)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        (
            "multipath(symmetric_l4,7,hrw,4,0,NXM_NX_REG2[0..7])",
            {
                "fields": "symmetric_l4",
                "basis": 7,
                "algorithm": "hrw",
                "links": 4,
                "argument": 0,
                "field": "reg2",
                "low": 0,
                "high": 7,
            },
        ),
        (
            "bundle(eth_src,0,active_backup,ofport,members:4,8)",
            {"fields": "eth_src", "basis": 0, "algorithm": "active_backup", "members": (4, 8)},
        ),
        (
            "bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[],slaves:4)",
            {
                "fields": "eth_src",
                "basis": 0,
                "algorithm": "hrw",
                "members": (4,),
                "field": "reg0",
                "low": 0,
                "high": 31,
            },
        ),
        ("check_pkt_larger(1500)->NXM_NX_REG0[3]", {"size": 1500, "field": "reg0", "low": 3, "high": 3}),
        ("push_mpls:0x8847", {"ethertype": 0x8847}),
    ],
)
def test_arguments_of_actions(text: str, args: dict[str, object]) -> None:
    assert dict(action(text).args) == args


@given(
    st.text(max_size=80),
    st.sampled_from(
        [
            "group_id=1,type=all,",
            "group_id=",
            "",
            "group_id=1,type=select,fields(",
            "group_id=1,type=all,bucket",
            "group_id=1,type=ff,bucket:",
        ]
    ),
)
def test_no_text_makes_the_reader_of_groups_fail(tail: str, head: str) -> None:
    parse_groups(head + tail, file="g")


@given(
    st.sampled_from(["learn", "multipath", "bundle", "bundle_load", "check_pkt_larger"]),
    st.text(alphabet="abcNXM_REG0123456789[].,:=->()/ ", max_size=60),
)
def test_no_text_makes_an_action_fail(name: str, inside: str) -> None:
    read_flow(Span("f", 1, text=f"ip actions={name}({inside})"))


def test_a_bucket_may_be_written_with_a_colon() -> None:
    (group,) = parse_groups("group_id=1,type=all,bucket:output:3", file="g").rows
    assert [dict(each.args) for each in group.buckets[0].actions] == [{"port": 3}]
