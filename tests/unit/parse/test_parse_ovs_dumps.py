"""What ovs-appctl says beside flows: the datapath, its tracker, tunnels, multicast; and meters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.address import address
from bothways.facts.openflow import LOCAL, Band
from bothways.facts.parsed import Parsed
from bothways.parse.openflow_meters import parse_meters
from bothways.parse.ovs_conntrack import parse_datapath_conntrack
from bothways.parse.ovs_dpctl import parse_datapath_flows
from bothways.parse.ovs_mdb import parse_mdb_show
from bothways.parse.ovs_tlv_map import parse_tlv_map
from bothways.parse.ovs_tunnels import (
    parse_dpif_show,
    parse_tunnel_listeners,
    parse_tunnel_routes,
    parse_tunnels,
)
from bothways.parse.ovsdb import parse_ovsdb

PLAIN = (
    "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),"
    "eth_type(0x0800),ipv4(src=192.168.0.0/255.255.0.0,proto=6,frag=no), packets:3, bytes:54, used:1.25s, "
    "flags:S, actions:push_vlan(vid=12,pcp=0),100,set(ipv4(src=1.2.3.4)),pop_vlan,2,"
    "ct(commit,zone=5),recirc(0x2)"
)
VERBOSE = (
    "ufid:5d9c2739-1119-4c8c-92d9-da18af6b955f, skb_priority(0/0),ct_state(0x21/0),recirc_id(0),"
    "in_port(br-ex),eth_type(0x8100),vlan(vid=7,pcp=0),encap(eth_type(0x0800),ipv4(dst=10.0.0.1,tos=0/0)),"
    "tcp(src=8/0,dst=80),"
    "tunnel(tun_id=0x5,src=10.0.0.1,dst=10.0.0.2,flags(-df-csum+key)), packets:0, bytes:0, "
    "used:never, dp:ovs, "
    "actions:clone(tnl_push(tnl_port(3),header(size=50,type=4)),eth0),drop, dp-extra-info:miniflow_bits(5,2)"
)

OPTION = "  0x102  0x80       4  tun_metadata0"


def test_a_datapath_flow() -> None:
    (flow,) = parse_datapath_flows(PLAIN, file="f").rows
    terms = {term.name: (term.value, term.mask) for term in flow.match}

    assert (flow.packets, flow.octets, flow.used, flow.ufid) == (3, 54, 1.25, None)
    assert terms["recirc_id"] == (0, None)
    assert terms["in_port"] == (1, None)
    assert terms["eth_type"] == (0x800, None)
    assert terms["ipv4.src"] == (0xC0A80000, 0xFFFF0000)
    assert terms["ipv4.frag"] == (None, None)
    assert terms["eth.dst"] == (0x505400000007, None)
    assert [(a.name, a.args.get("port")) for a in flow.actions] == [
        ("push_vlan", None), ("output", 100), ("set", None), ("pop_vlan", None), ("output", 2), ("ct", None),
        ("recirc", None),
    ]  # fmt: skip
    assert flow.actions[-1].args["id"] == 2
    assert all(action.text == PLAIN[action.column - 1 :][: len(action.text)] for action in flow.actions)
    assert all(term.text in PLAIN[term.column - 1 :] for term in flow.match)


def test_a_verbose_datapath_flow_leaves_out_what_it_does_not_match() -> None:
    (flow,) = parse_datapath_flows("flow-dump from the main thread:\n" + VERBOSE, file="f").rows
    terms = {term.name: term.value for term in flow.match}

    assert flow.ufid == "5d9c2739-1119-4c8c-92d9-da18af6b955f"
    assert flow.used is None
    assert terms["encap.ipv4.dst"] == 0x0A000001
    assert terms["tunnel.tun_id"] == 5
    assert not {"skb_priority", "ct_state", "tcp.src", "encap.ipv4.tos"} & terms.keys()
    assert {term.text for term in flow.match if term.name == "in_port"} == {"br-ex"}
    assert flow.facts == {"dp": "ovs", "dp-extra-info": "miniflow_bits(5,2)"}
    cloned, dropped = flow.actions
    assert [a.name for a in cloned.args["actions"]] == ["tnl_push", "output"]  # type: ignore[attr-defined] # a tuple
    assert dropped.name == "drop"


def test_an_unknown_datapath_action_is_kept_and_said() -> None:
    parsed = parse_datapath_flows("recirc_id(0), packets:0, bytes:0, used:never, actions:odd(3),1", file="f")

    assert [(a.name, a.modelled) for a in parsed.rows[0].actions] == [("odd", False), ("output", True)]
    assert "odd(3)" in parsed.problems[0].message


KERNEL = (
    "tcp,orig=(src=10.0.0.1,dst=10.0.0.9,sport=55158,dport=3306),reply=(src=10.0.0.9,dst=10.0.0.1,sport=3306,"
    "dport=55158),id=276,zone=7,status=SEEN_REPLY|ASSURED|CONFIRMED,timeout=86,mark=3,labels=0x9,"
    "protoinfo=(state_orig=TIME_WAIT,state_reply=TIME_WAIT,wscale_orig=7)"
)


def test_a_connection_of_the_kernels_datapath() -> None:
    (entry,) = parse_datapath_conntrack(KERNEL, file="f").rows

    assert (entry.original.sport, entry.original.dport, entry.original.protocol) == (55158, 3306, 6)
    assert entry.reply.src == address("10.0.0.9")
    assert (entry.state, entry.zone, entry.mark, entry.label) == ("TIME_WAIT", 7, 3, 9)
    assert (entry.timeout, entry.id, entry.status) == (86, 276, frozenset({"ASSURED"}))


ENDS = "orig=(src=fe80::1,dst=fe80::2,sport=8,dport=80),reply=(src=fe80::2,dst=fe80::1,sport=80,dport=8)"
PING = "icmp,orig=(src=1.1.1.1,dst=2.2.2.2,id=8,type=8,code=0),reply=(src=2.2.2.2,dst=1.1.1.1,id=8,type=0)"


@pytest.mark.parametrize(
    ("row", "state", "status"),
    [
        (f"tcp,{ENDS},zone=5,protoinfo=(state=SYN_SENT)", "SYN_SENT", {"UNREPLIED"}),
        (f"tcp,{ENDS},protoinfo=(state=ESTABLISHED)", "ESTABLISHED", set()),
        (f"{PING},status=CONFIRMED", None, {"UNREPLIED"}),
        (f"udp,{ENDS}", None, set()),
    ],
)  # fmt: skip
def test_connections_without_a_reply(row: str, state: str | None, status: set[str]) -> None:
    (entry,) = parse_datapath_conntrack(row, file="f").rows

    assert (entry.state, entry.status) == (state, frozenset(status))


def test_ports_of_a_datapath() -> None:
    text = (
        "netdev@ovs-netdev: hit:0 missed:3\n  br0:\n    br0 65534/100: (tap)\n"
        "    pp 7/none: (patch: peer=q)\n"
        "  br1:\n    vx 6/4: (vxlan: key=flow, remote_ip=10.1.1.1)\n"
    )
    local, patch, vxlan = parse_dpif_show(text, file="f").rows

    assert (local.bridge, local.number, local.datapath_number, local.datapath) == (
        "br0",
        LOCAL,
        100,
        "netdev",
    )
    assert (patch.kind, patch.datapath_number, patch.options) == ("patch", None, {"peer": "q"})
    assert (vxlan.bridge, vxlan.options["remote_ip"]) == ("br1", "10.1.1.1")


def test_tunnels_and_their_routes() -> None:
    (listener,) = parse_tunnel_listeners("Listening ports:\nvxlan_sys_4789 (3) ref_cnt=1\n", file="f").rows
    (tunnel,) = parse_tunnels(
        "port 3: vx (vxlan: 10.0.0.1->10.0.0.2, key=5, dp port=3, ttl=64)", file="f"
    ).rows
    text = (
        "Route Table:\nCached: 10.1.0.0/24 dev br-p GW 10.1.0.1 SRC 10.1.0.11\nUser: ::/0 MARK 5 dev b local"
    )
    cached, own = parse_tunnel_routes(text, file="f").rows

    assert (listener.kind, listener.datapath_number) == ("vxlan", 3)
    assert (tunnel.attributes["remote_ip"], tunnel.attributes["key"]) == ("10.0.0.2", "5")
    assert (str(cached.destination), cached.prefix, str(cached.gateway)) == ("10.1.0.0", 24, "10.1.0.1")
    assert (own.cached, own.local, own.mark) == (False, True, 5)


def test_multicast_members() -> None:
    text = " port  VLAN  GROUP                Age\n    1     5  239.1.1.1     12\n    2     0  querier  3\n"
    member, querier = parse_mdb_show(text, file="f").rows

    assert (member.port, member.vlan, str(member.group), member.age) == (1, 5, "239.1.1.1", 12)
    assert querier.group is None


def test_meters() -> None:
    text = (
        "OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):\nmeter=1 pktps burst stats bands=\n"
        "type=drop rate=100 burst_size=10\ntype=dscp_remark rate=9 prec_level=2\n\n"
        "meter=2 kbps bands=type=drop rate=5\n"
    )
    parsed = parse_meters(text, file="f")
    one, two = parsed.rows

    assert parsed.problems == ()
    assert (one.number, one.flags) == (1, frozenset({"pktps", "burst", "stats"}))
    assert one.bands == (Band("drop", 100, 10), Band("dscp_remark", 9, None, 2))
    assert two.bands == (Band("drop", 5),)


def test_options_of_tunnels() -> None:
    text = (
        "NXT_TLV_TABLE_REPLY (OF1.5) (xid=0x2):\n max option space=256 max fields=64\n"
        " allocated option space=12\n\n mapping table:\n  class  type  length  match field\n"
        f" ------  ----  ------  --------------\n{OPTION}\n 0xffff   0x1     124  tun_metadata63\n"
    )
    parsed = parse_tlv_map(text, file="f")

    assert parsed.problems == ()
    assert [(row.option_class, row.type, row.length, row.field) for row in parsed.rows] == [
        (0x102, 0x80, 4, "tun_metadata0"), (0xFFFF, 1, 124, "tun_metadata63"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", ["0x102 0x80 4 tun_metadata64", "0x102 0x80 128 tun_metadata0", "0x102 0x80 4"]
)
def test_what_is_no_option_is_told(line: str) -> None:
    parsed = parse_tlv_map(f" class type length match field\n{line}\n", file="f")

    assert parsed.rows == ()
    assert [problem.span.line for problem in parsed.problems] == [2]


def test_a_bond_and_a_mirror_of_the_database() -> None:
    def table(caption: str, headings: list[str], *rows: str) -> str:
        names = ",".join(f'"{name}"' for name in headings)
        return f'{{"caption":"{caption}","headings":[{names}],"data":[{",".join(rows)}]}}'

    text = "\n".join(
        (
            table(
                "Bridge table",
                ["_uuid", "name", "ports", "mirrors", "flood_vlans", "stp_enable", "controller"],
                '[["uuid","b"],"br0",["uuid","p"],["uuid","m"],["set",[5,6]],true,["set",[]]]',
            ),
            table(
                "Port table",
                ["_uuid", "name", "interfaces", "bond_mode", "lacp", "cvlans", "protected"],
                '[["uuid","p"],"bond0",["set",[["uuid","i"],["uuid","j"]]],"balance-tcp","active",["set",[3]],true]',
            ),
            table(
                "Interface table",
                ["_uuid", "name", "ofport"],
                '[["uuid","i"],"b1",1]',
                '[["uuid","j"],"b2",2]',
            ),
            table(
                "Mirror table",
                ["_uuid", "name", "select_all", "select_src_port", "output_vlan", "snaplen", "filter"],
                '[["uuid","m"],"m0",true,["uuid","p"],12,64,"icmp"]',
            ),
        )
    )
    (bridge,) = parse_ovsdb(text, file="f").rows

    assert {port.bond for port in bridge.ports.values()} == {"bond0"}
    assert bridge.ports["b1"].bond_mode == "balance-tcp"
    assert (bridge.ports["b2"].lacp, bridge.ports["b2"].cvlans, bridge.ports["b2"].protected) == (
        "active",
        (3,),
        True,
    )
    assert (bridge.flood_vlans, bridge.spanning_tree, bridge.controllers) == ((5, 6), True, ())
    assert bridge.mirrors is not None
    (mirror,) = bridge.mirrors
    assert (mirror.name, mirror.select_all, mirror.select_src, mirror.output_vlan) == (
        "m0",
        True,
        ("bond0",),
        12,
    )
    assert (mirror.snaplen, mirror.filter) == (64, "icmp")


PARSERS: tuple[Callable[..., Parsed[object]], ...] = (
    parse_meters, parse_datapath_conntrack, parse_datapath_flows, parse_mdb_show, parse_dpif_show,
    parse_tunnel_listeners, parse_tunnels, parse_tunnel_routes, parse_tlv_map,
)  # fmt: skip


@pytest.mark.parametrize("parser", PARSERS)
@given(text=st.text(max_size=80) | st.sampled_from([PLAIN, VERBOSE, KERNEL, OPTION]).flatmap(
    lambda line: st.tuples(st.integers(0, len(line)), st.text(max_size=3)).map(
        lambda cut: line[: cut[0]] + cut[1] + line[cut[0] + 1 :])))  # fmt: skip
def test_no_text_is_fatal(parser: Callable[..., Parsed[object]], text: str) -> None:
    for problem in parser(text, file="f").problems:
        assert problem.span.line is not None
