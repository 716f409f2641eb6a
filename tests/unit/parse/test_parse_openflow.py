"""Flows of a switch: header, match, actions, and a round trip through the form that ovs-ofctl prints."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parse_samples import outcomes, problem

from bothways.facts.address import mac_from_int
from bothways.facts.openflow import LOCAL, Action, Flow, Port, Term
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6
from bothways.facts.span import Kind, Span
from bothways.parse.openflow import DEFAULT_PRIORITY, parse_flows, resolve_ports

# The row of the incident that sends the SYN/ACK past the tracker.
INCIDENT = (
    "cookie=0x0, duration=517.301s, table=100, n_packets=2, n_bytes=148, priority=512,ip,tun_id=0x43e,"
    "dl_dst=fa:16:3e:91:5f:a0,nw_src=88.88.88.4 actions=set_field:fa:16:3e:74:db:c7->eth_src,dec_ttl,"
    "set_field:2c:ab:00:9a:04:37->eth_dst,set_field:192.168.111.223->ip_src,output:5"
)


def flow(match: str = "", actions: str = "drop") -> Flow:
    parsed = parse_flows(f"{match} actions={actions}", file="f")
    assert parsed.problems == ()
    return parsed.rows[0]


def terms(match: str) -> dict[str, tuple[int | None, int | None]]:
    return {term.field: (term.value, term.mask) for term in flow(match).match}


def args(actions: str) -> list[tuple[str, dict[str, object]]]:
    return [(action.name, dict(action.args)) for action in flow(actions=actions).actions]


def test_the_incidents_flow() -> None:
    (row,) = parse_flows(INCIDENT, file="br-int.flows.txt", read_at=9.0).rows

    assert (row.table, row.priority, row.packets, row.octets, row.duration) == (100, 512, 2, 148, 517.301)
    assert {term.field: term.value for term in row.match} == {
        "eth_type": ETH_IP,
        "tun_id": 0x43E,
        "eth_dst": 0xFA163E915FA0,
        "nw_src": int(IPv4Address("88.88.88.4")),
    }
    assert [action.name for action in row.actions] == [
        "set_field",
        "dec_ttl",
        "set_field",
        "set_field",
        "output",
    ]
    assert dict(row.actions[-1].args) == {"port": 5}
    assert row.span == Span("br-int.flows.txt", 1, text=INCIDENT, read_at=9.0)
    assert INCIDENT[row.actions[1].column - 1 :].startswith("dec_ttl")
    assert INCIDENT[row.match[1].column - 1 :].startswith("tun_id")


MATCHES = [
    ("", {}),
    ("ip", {"eth_type": (ETH_IP, None)}),
    ("ip6", {"eth_type": (ETH_IP6, None)}),
    ("tcp,tp_dst=22", {"eth_type": (ETH_IP, None), "ip_proto": (6, None), "tp_dst": (22, None)}),
    ("tcp6,tcp_dst=22", {"eth_type": (ETH_IP6, None), "ip_proto": (6, None), "tp_dst": (22, None)}),
    ("udp,tp_src=0x1000/0xf000", {"eth_type": (ETH_IP, None), "ip_proto": (17, None),
                                  "tp_src": (0x1000, 0xF000)}),
    ("icmp,icmp_type=8", {"eth_type": (ETH_IP, None), "ip_proto": (1, None), "icmp_type": (8, None)}),
    ("icmp,tp_src=8,tp_dst=0", {"eth_type": (ETH_IP, None), "ip_proto": (1, None), "icmp_type": (8, None),
                               "icmp_code": (0, None)}),
    ("arp,nw_dst=10.0.0.1,nw_proto=1", {"eth_type": (ETH_ARP, None), "arp_tpa": (0x0A000001, None),
                                       "arp_op": (1, None)}),
    ("arp,arp_tpa=10.0.0.1,arp_op=2", {"eth_type": (ETH_ARP, None), "arp_tpa": (0x0A000001, None),
                                      "arp_op": (2, None)}),
    ("in_port=5", {"in_port": (5, None)}),
    ("in_port=LOCAL", {"in_port": (LOCAL, None)}),
    ("in_port=65534", {"in_port": (LOCAL, None)}),
    ("dl_src=02:00:00:00:00:01", {"eth_src": (0x020000000001, None)}),
    ("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", {"eth_dst": (0x010000000000, 0x010000000000)}),
    ("ip,nw_src=10.1.2.3/8", {"eth_type": (ETH_IP, None), "nw_src": (0x0A000000, 0xFF000000)}),
    ("ip,nw_src=10.0.2.0/255.0.255.0", {"eth_type": (ETH_IP, None), "nw_src": (0x0A000200, 0xFF00FF00)}),
    ("ipv6,ipv6_dst=2001:db8::/32", {"eth_type": (ETH_IP6, None),
                                     "ipv6_dst": (0x20010DB8 << 96, 0xFFFFFFFF << 96)}),
    ("dl_vlan=7", {"vlan_tci": (0x1007, 0x1FFF)}),
    ("dl_vlan=0xffff", {"vlan_tci": (0, 0xFFFF)}),
    ("vlan_tci=0x1000/0x1000", {"vlan_tci": (0x1000, 0x1000)}),
    ("vlan_tci=0x0000", {"vlan_tci": (0, None)}),
    ("dl_vlan_pcp=3", {"vlan_tci": (0x7000, 0xF000)}),
    ("tun_id=0x43e", {"tun_id": (0x43E, None)}),
    ("reg5=0x10/0xf0", {"reg5": (0x10, 0xF0)}),
    ("metadata=0x1/0xffffffffffffffff", {"metadata": (1, None)}),
    ("ct_state=+trk-new+est", {"ct_state": (0x22, 0x23)}),
    ("ct_state=0x21/0x21", {"ct_state": (0x21, 0x21)}),
    ("ct_zone=5,ct_mark=0x1/0x1", {"ct_zone": (5, None), "ct_mark": (1, 1)}),
    ("ip,nw_frag=later", {"eth_type": (ETH_IP, None), "nw_frag": (3, 3)}),
    ("ip,nw_tos=0x20", {"eth_type": (ETH_IP, None), "nw_tos": (0x20, 0xFC)}),
    ("ip,ip_dscp=8", {"eth_type": (ETH_IP, None), "nw_tos": (0x20, 0xFC)}),
    ("tcp,tcp_flags=+syn-ack", {"eth_type": (ETH_IP, None), "ip_proto": (6, None), "tcp_flags": (2, 0x12)}),
    ("NXM_NX_REG0[0..15]=5", {"reg0": (5, 0xFFFF)}),
    ("pkt_mark=0x5,conj_id=7", {"pkt_mark": (5, None), "conj_id": (7, None)}),
    ("actset_output=UNSET", {"actset_output": (0xFFF7, None)}),
    ("dl_type=0x88cc", {"eth_type": (0x88CC, None)}),
]  # fmt: skip


@pytest.mark.parametrize(("match", "expected"), MATCHES, ids=[match for match, _ in MATCHES])
def test_matches(match: str, expected: dict[str, object]) -> None:
    assert terms(match) == expected


ACTIONS = [
    ("drop", [("drop", {})]),
    ("", [("drop", {})]),
    ("5", [("output", {"port": 5})]),
    ("output:5,6", [("output", {"port": 5}), ("output", {"port": 6})]),
    ("output(port=5,max_len=100)", [("output", {"port": 5, "max_len": 100})]),
    ("output:tap1", [("output", {"port_name": "tap1"})]),
    ('output:"reg0"', [("output", {"port_name": "reg0"})]),
    ("output:NXM_NX_REG0[0..15]", [("output", {"field": "reg0", "low": 0, "high": 15})]),
    ("output:reg7", [("output", {"field": "reg7", "low": 0, "high": 31})]),
    ("LOCAL", [("output", {"port": LOCAL})]),
    ("NORMAL", [("normal", {})]),
    ("output:NORMAL", [("normal", {})]),
    ("IN_PORT,FLOOD,ALL", [("in_port", {}), ("flood", {}), ("all", {})]),
    ("output:65528", [("in_port", {})]),
    ("CONTROLLER:65535", [("controller", {"max_len": 65535})]),
    ("output:CONTROLLER", [("controller", {"max_len": 65535})]),
    ("enqueue:5:1", [("output", {"port": 5, "queue": 1})]),
    ("goto_table:40", [("goto_table", {"table": 40})]),
    ("resubmit(,40)", [("resubmit", {"port": None, "table": 40, "ct": False})]),
    ("resubmit(3,)", [("resubmit", {"port": 3, "table": None, "ct": False})]),
    ("resubmit:3", [("resubmit", {"port": 3, "table": None, "ct": False})]),
    ("resubmit(,9,ct)", [("resubmit", {"port": None, "table": 9, "ct": True})]),
    ("resubmit(tap1,9)", [("resubmit", {"port": None, "table": 9, "ct": False, "port_name": "tap1"})]),
    ("set_field:10.0.0.4->ip_dst", [("set_field", {"field": "nw_dst", "value": 0x0A000004, "mask": None})]),
    ("set_field:0x5/0xf->reg0", [("set_field", {"field": "reg0", "value": 5, "mask": 0xF})]),
    ("move:NXM_NX_CT_LABEL[64..75]->OXM_OF_VLAN_VID[]", [("move", {
        "source": "ct_label", "source_low": 64, "source_high": 75,
        "field": "vlan_tci", "low": 0, "high": 11})]),
    ("push:NXOXM_ET_REG31[]", [("push", {"field": "reg31", "low": 0, "high": 31})]),
    ("push:NXM_NX_TUN_FLAGS[]", [("push", {"field": "tun_flags", "low": 0, "high": 0})]),
    ('resubmit("a,b",5)', [("resubmit", {"port": None, "table": 5, "ct": False, "port_name": "a,b"})]),
    ("set_field:0x7/0xff->vlan_vid", [("set_field", {"field": "vlan_tci", "value": 7, "mask": 0xFF})]),
    ("set_field:4103->vlan_vid", [("set_field", {"field": "vlan_tci", "value": 0x1007, "mask": 0x1FFF})]),
    ("set_field:3->vlan_pcp", [("set_field", {"field": "vlan_tci", "value": 0x7000, "mask": 0xF000})]),
    ("mod_nw_src:10.0.0.1", [("set_field", {"field": "nw_src", "value": 0x0A000001, "mask": None})]),
    ("mod_dl_dst:02:00:00:00:00:01",
     [("set_field", {"field": "eth_dst", "value": 0x020000000001, "mask": None})]),
    ("mod_tp_dst:22", [("set_field", {"field": "tp_dst", "value": 22, "mask": None})]),
    ("set_tunnel:0x43e", [("set_field", {"field": "tun_id", "value": 0x43E, "mask": None})]),
    ("write_metadata:0x1/0xf", [("set_field", {"field": "metadata", "value": 1, "mask": 0xF})]),
    ("load:0x43e->NXM_NX_REG3[]", [("load", {"field": "reg3", "low": 0, "high": 31, "value": 0x43E})]),
    ("load:0x2->NXM_OF_ARP_OP[]", [("load", {"field": "arp_op", "low": 0, "high": 15, "value": 2})]),
    ("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", [("move", {
        "source": "eth_src", "source_low": 0, "source_high": 47, "field": "eth_dst", "low": 0, "high": 47})]),
    ("push:NXM_NX_REG0[],pop:reg1[0..3]", [("push", {"field": "reg0", "low": 0, "high": 31}),
                                          ("pop", {"field": "reg1", "low": 0, "high": 3})]),
    ("mod_vlan_vid:7,strip_vlan", [("set_vlan_vid", {"vid": 7, "push": True}), ("pop_vlan", {})]),
    ("push_vlan:0x8100,set_vlan_vid:7", [("push_vlan", {"ethertype": 0x8100}),
                                        ("set_vlan_vid", {"vid": 7, "push": False})]),
    ("dec_ttl", [("dec_ttl", {"controllers": ()})]),
    ("dec_ttl(1,2)", [("dec_ttl", {"controllers": (1, 2)})]),
    ("group:5,meter:6,set_queue:7",
     [("group", {"group": 5}), ("meter", {"meter": 6}), ("set_queue", {"queue": 7})]),
    ("conjunction(7,1/2)", [("conjunction", {"id": 7, "clause": 1, "of": 2})]),
    ("ct_clear,exit", [("ct_clear", {}), ("exit", {})]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ACTIONS, ids=[text for text, _ in ACTIONS])
def test_actions(text: str, expected: list[tuple[str, dict[str, object]]]) -> None:
    assert args(text) == expected


CT = {"commit": False, "force": False, "table": None, "zone": 0, "nat": None, "alg": None, "exec": ()}
ONE, NINE = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ct", CT),
        ("ct(commit,zone=5,table=10)", {**CT, "commit": True, "zone": 5, "table": 10}),
        ("ct(zone=64003 nat,table=7)", {**CT, "zone": 64003, "table": 7, "nat": {}}),
        ("ct(commit,force,alg=ftp)", {**CT, "commit": True, "force": True, "alg": "ftp"}),
        ("ct(commit,nat(src=10.0.0.1))",
         {**CT, "commit": True, "nat": {"direction": "src", "low": ONE, "high": ONE}}),
        (
            "ct(commit,nat(dst=10.0.0.1-10.0.0.9:80-90,random))",
            {**CT, "commit": True, "nat": {"direction": "dst", "low": ONE, "high": NINE, "low_port": 80,
                                           "high_port": 90, "flags": ("random",)}},
        ),
        ("ct(commit,nat(src=0.0.0.0))", {**CT, "commit": True, "nat": {"direction": "src"}}),
    ],
)  # fmt: skip
def test_ct(text: str, expected: dict[str, object]) -> None:
    assert args(text) == [("ct", expected)]


def test_a_zone_from_a_register_and_actions_inside() -> None:
    ((_, given),) = args("ct(commit,zone=NXM_NX_REG6[0..15],exec(load:0x1->NXM_NX_CT_MARK[],drop))")

    assert (given["zone"], given["zone_field"], given["zone_low"], given["zone_high"]) == (
        None,
        "reg6",
        0,
        15,
    )
    inner = given["exec"]
    assert isinstance(inner, tuple)
    assert [action.name for action in inner] == ["load", "drop"]


def test_nested_actions_know_their_columns() -> None:
    text = "table=1 actions=clone(output:5,write_actions(group:7)),output:6"
    (row,) = parse_flows(text, file="f").rows

    (clone, out) = row.actions
    inner = clone.args["actions"]
    assert isinstance(inner, tuple)
    group = inner[1].args["actions"]
    assert text[group[0].column - 1 :].startswith("group:7")
    assert text[out.column - 1 :] == "output:6"


def test_learn() -> None:
    ((_, given),) = args(
        "learn(table=10,hard_timeout=300,priority=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:in_port)"
    )

    assert (given["table"], given["priority"]) == (10, 1)
    assert given["specs"] == ("NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]", "output:in_port")
    assert given["settings"] == {"table": "10", "hard_timeout": "300", "priority": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("actions=drop", (0, DEFAULT_PRIORITY, 0, None, None)),
        ("table=5,priority=0 actions=drop", (5, 0, 0, None, None)),
        (" cookie=0x2a, table=5, n_packets=7, n_bytes=70, priority=9 actions=drop", (5, 9, 42, 7, 70)),
        ("table_id=5,n_packets=7,n_bytes=70,n_offload_bytes=0,actions=drop",
         (5, DEFAULT_PRIORITY, 0, 7, 70)),
        ("table:5 priority=9,ip cookie:0x2a idle:7 actions=drop", (5, 9, 42, None, None)),
        ("cookie=0x2a/0xff,send_flow_rem idle_timeout=5 actions=drop", (0, DEFAULT_PRIORITY, 42, None, None)),
    ],
)  # fmt: skip
def test_the_header_of_a_row(text: str, expected: tuple[object, ...]) -> None:
    parsed = parse_flows(text, file="f")

    assert parsed.problems == ()
    (row,) = parsed.rows
    assert (row.table, row.priority, row.cookie, row.packets, row.octets) == expected


LINES = [
    ("NXST_FLOW reply (xid=0x4):", (0, 1, 0, 0)),
    ("OFPST_FLOW reply (OF1.3) (xid=0x2):", (0, 1, 0, 0)),
    ("# comment", (0, 1, 0, 0)),
    ("root@host5:~# ovs-ofctl dump-flows br-int | grep 88.4", (0, 1, 0, 0)),
    ("table=0 actions=5 the ACK takes this one", (1, 0, 0, 0)),
    ("table=0 new_thing=5 actions=drop", (1, 0, 1, 0)),
    ("table=0 newthing actions=drop", (1, 0, 1, 0)),
    ("table=0 actions=new_thing(5)", (1, 0, 1, 0)),
    ("table=0 mpls actions=dec_nsh_ttl", (1, 0, 0, 0)),
    ("table=0 mpls actions=push_pbb:0x88e7", (1, 0, 1, 0)),
    ("table=0,tun_metadata0=5 actions=drop", (1, 0, 0, 0)),
    ("table=0,tun_metadata0 actions=drop", (1, 0, 1, 0)),
    ("table=rest,priority=1 actions=drop", (0, 0, 1, 0)),
    ("table=300 actions=drop", (0, 0, 0, 1)),
    ("priority=70000 actions=drop", (0, 0, 0, 1)),
    ("duration=?s actions=drop", (1, 0, 0, 1)),
    ("nw_src=10.0.0.300 actions=drop", (1, 0, 0, 1)),
    ("tp_dst=70000 actions=drop", (1, 0, 0, 1)),
    ("nw_tos=0x21 actions=drop", (1, 0, 0, 1)),
    ("actions=load:0x100->NXM_NX_REG0[0..7]", (1, 0, 0, 1)),
    ("actions=set_field:x->ip_dst", (1, 0, 0, 1)),
    ("actions=goto_table:x", (1, 0, 0, 1)),
    ("actions=ct(what)", (1, 0, 0, 1)),
    ("cookie=0x0, table=0, n_packets=5", (0, 0, 0, 1)),
    ("what is this", (0, 0, 0, 1)),
]


@pytest.mark.parametrize(("line", "result"), LINES, ids=[line for line, _ in LINES])
def test_four_outcomes_of_a_line(line: str, result: tuple[int, ...]) -> None:
    parsed = parse_flows(f"\n{line}\n", file="f")

    assert outcomes(parsed) == (result[0], result[1] + 2, *result[2:])
    if parsed.problems:
        assert (problem(parsed).span.line, problem(parsed).span.text) == (2, line)


def test_a_part_that_is_not_understood_is_kept_in_its_place() -> None:
    line = "table=0,ip,new_thing=5,tcp actions=output:1,new_action(3),output:2"
    parsed = parse_flows(line, file="f")
    (row,) = parsed.rows

    (open_term,) = (term for term in row.match if not term.modelled)
    (open_action,) = (action for action in row.actions if not action.modelled)
    assert (open_term.text, open_action.text) == ("new_thing=5", "new_action(3)")
    assert [problem.span.column for problem in parsed.problems] == [open_term.column, open_action.column]
    assert line[open_action.column - 1 :].startswith("new_action(3)")


def test_blanks_between_actions_are_commas_and_words_of_people_are_not() -> None:
    both = parse_flows("in_port=1 actions=controller(pause) resubmit(,2)", file="f").rows[0]
    one = parse_flows("in_port=1 actions=output:5 and nothing else", file="f").rows[0]

    assert [action.name for action in both.actions] == ["controller", "resubmit"]
    assert [action.name for action in one.actions] == ["output"]


def test_depth_has_a_limit() -> None:
    parsed = parse_flows("actions=" + "clone(" * 40 + "drop" + ")" * 40, file="f")

    assert problem(parsed).kind is Kind.UNMODELLED
    assert "deep" in problem(parsed).message


def test_ports_given_by_name_get_their_numbers() -> None:
    text = 'in_port=tap1 actions=output:"br 2",resubmit(tap1,7),clone(output:tap1),output:gone'
    rows = parse_flows(text, file="f").rows
    assert rows[0].match[0].value is None
    span = Span("f", 1)
    ports = {name: Port(name, number, span) for name, number in (("tap1", 7), ("br 2", 9), ("gone", None))}
    (row,) = resolve_ports(rows, ports)

    assert row.match[0].value == 7
    assert [action.args.get("port") for action in row.actions] == [9, 7, None, None]
    clone = row.actions[2].args["actions"]
    assert isinstance(clone, tuple)
    assert clone[0].args["port"] == 7


# -- round trips: a small printer, and the parser must read what it prints ---------------------------------

NAMES = {
    "eth_src": ("dl_src", 48), "eth_dst": ("dl_dst", 48), "tun_id": ("tun_id", 64), "reg0": ("reg0", 32),
    "metadata": ("metadata", 64), "vlan_tci": ("vlan_tci", 16), "ct_mark": ("ct_mark", 32),
    "in_port": ("in_port", 16),
}  # fmt: skip


def printed(row: Flow) -> str:
    """A row as ``ovs-ofctl dump-flows`` prints it."""
    header = f" cookie=0x{row.cookie:x}, duration={row.duration:.3f}s, table={row.table}, "
    match = [f"priority={row.priority}"]
    for term in row.match:
        name, _ = NAMES[term.field]
        assert term.value is not None
        macs = term.field.startswith("eth")
        value = mac_from_int(term.value) if macs else f"0x{term.value:x}"
        mask = "" if term.mask is None else f"/{mac_from_int(term.mask) if macs else hex(term.mask)}"
        match.append(f"{name}={value}{mask}" if term.field != "in_port" else f"in_port={term.value}")
    counters = f"n_packets={row.packets}, n_bytes={row.octets}, "
    return f"{header}{counters}{','.join(match)} actions={','.join(map(step, row.actions))}"


def step(action: Action) -> str:
    given = action.args
    match action.name:
        case "output":
            return f"output:{given['port']}"
        case "load":
            return f"load:0x{given['value']:x}->NXM_NX_REG1[{given['low']}..{given['high']}]"
        case "resubmit":
            return f"resubmit(,{given['table']})"
        case "goto_table":
            return f"goto_table:{given['table']}"
        case _:
            return action.name


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    match = []
    for field in draw(st.lists(st.sampled_from(sorted(NAMES)), unique=True, max_size=5)):
        _, width = NAMES[field]
        full = (1 << width) - 1
        value = draw(st.integers(0, full))
        mask = None if field == "in_port" else draw(st.none() | st.integers(1, full - 1))
        if field == "in_port":
            value = value % 0xFF00
        match.append(Term(field, value if mask is None else value & mask, mask, "", 0))
    low = draw(st.integers(0, 31))
    high = draw(st.integers(low, 31))
    choice = st.one_of(
        st.integers(1, 0xFEFF).map(lambda port: Action("output", {"port": port}, "", 0)),
        st.integers(0, 254).map(
            lambda table: Action("resubmit", {"port": None, "table": table, "ct": False}, "", 0)
        ),
        st.integers(0, (1 << (high - low + 1)) - 1).map(
            lambda value: Action("load", {"field": "reg1", "low": low, "high": high, "value": value}, "", 0)
        ),
        st.sampled_from(["normal", "in_port", "flood", "exit"]).map(lambda name: Action(name, {}, "", 0)),
    )
    return Flow(
        table=draw(st.integers(0, 254)),
        priority=draw(st.integers(0, 65535)),
        match=tuple(match),
        actions=tuple(draw(st.lists(choice, min_size=1, max_size=5))),
        span=Span("f", 1),
        cookie=draw(st.integers(0, 2**64 - 1)),
        packets=draw(st.integers(0, 2**64 - 1)),
        octets=draw(st.integers(0, 2**64 - 1)),
        duration=draw(st.integers(0, 10**6)) / 8,
    )


@given(flows())
def test_what_is_printed_is_read_back(row: Flow) -> None:
    parsed = parse_flows(printed(row), file="f")

    assert parsed.problems == ()
    (read,) = parsed.rows
    bare = replace(
        read,
        span=row.span,
        match=tuple(replace(term, text="", column=0) for term in read.match),
        actions=tuple(replace(action, text="", column=0) for action in read.actions),
    )
    assert bare == row


def test_codes_of_fields_match_as_their_names_do() -> None:
    assert terms("OXM_OF_VLAN_VID=0x1005") == terms("vlan_vid=0x1005")
    assert terms("ip,OXM_OF_IP_DSCP=12") == terms("ip,ip_dscp=12")


def test_an_answer_that_ovs_ofctl_could_not_read_is_one_problem() -> None:
    text = (
        "OFPST_FLOW reply (xid=0x4): ***decode error: OFPBAC_BAD_VENDOR_TYPE***\n"
        "***decode error: OFPBAC_BAD_VENDOR_TYPE***\n"
        "00000000  01 11 13 60 00 00 00 04-ff ff 00 00 00 00 23 20 |...`..........# |\n"
        "00000010  00 00 00 00 00                                  |.....           |\n"
    )
    (only,) = parse_flows(text, file="f").problems
    assert "flows are missing" in only.message
    assert only.hint
