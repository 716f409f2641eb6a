"""Bridges and ports of Open vSwitch, what bridges learned, and one bridge made of several dumps."""

from __future__ import annotations

import json

import pytest
from parse_samples import outcomes, problem

from bothways.facts.address import mac
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.span import Kind, Span
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_appctl import parse_fdb_show, parse_tunnel_neighbours
from bothways.parse.ovs_assemble import merge_bridge
from bothways.parse.ovs_vsctl import parse_vsctl_show
from bothways.parse.ovsdb import parse_ovsdb

SHOW = """\
OFPT_FEATURES_REPLY (xid=0x2): dpid:0000f6f42e5a7b46
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP
actions: output enqueue set_vlan_vid set_vlan_pcp strip_vlan mod_dl_src
 2(eth0): addr:02:00:00:00:00:02
     config:     0
     state:      0
     current:    10GB-FD COPPER
     speed: 10000 Mbps now, 0 Mbps max
 8(qg-1): addr:00:00:00:00:00:00
     config:     PORT_DOWN NO_FLOOD
     state:      LINK_DOWN
 LOCAL(br-ex): addr:02:00:00:00:00:01
     config:     0
     state:      0
OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0
"""


def test_ports_of_ovs_ofctl_show() -> None:
    parsed = parse_ports(SHOW, file="br-ex.ports.txt")

    assert parsed.problems == ()
    assert [(port.name, port.number, port.mac) for port in parsed.rows] == [
        ("eth0", 2, "02:00:00:00:00:02"),
        ("qg-1", 8, "00:00:00:00:00:00"),
        ("br-ex", LOCAL, "02:00:00:00:00:01"),
    ]
    assert (set(parsed.rows[1].config), set(parsed.rows[1].state)) == (
        {"PORT_DOWN", "NO_FLOOD"},
        {"LINK_DOWN"},
    )
    assert parsed.rows[0].config == frozenset()
    assert (parsed.rows[1].span.line, parsed.rows[1].span.text) == (10, " 8(qg-1): addr:00:00:00:00:00:00")


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (' 5("tap 1"): addr:02:00:00:00:00:05', (1, 0, 0, 0)),
        (" tap1(tap1): addr:02:00:00:00:00:05", (1, 0, 0, 0)),  # --names
        (" 65534(br-ex): addr:02:00:00:00:00:05", (1, 0, 0, 0)),
        (" 5(tap1): addr:nothing", (1, 0, 0, 1)),
        (" 5(tap1): what", (0, 0, 0, 1)),
    ],
)
def test_port_lines(line: str, result: tuple[int, ...]) -> None:
    assert outcomes(parse_ports(line, file="f")) == result


VSCTL = """\
2d5a30b4-0b4e-4a39-9d3c-0a1f6f3a1b2c
    Manager "tcp:192.0.2.50:6640"
        is_connected: true
    Bridge br-int
        Controller "tcp:192.0.2.50:6653"
            is_connected: true
        fail_mode: secure
        datapath_type: netdev
        Port tap1
            tag: 5
            Interface tap1
        Port trunk
            trunks: [7, 9]
            Interface trunk
        Port bond0
            Interface eth2
            Interface eth3
        Port "vxlan-1"
            Interface "vxlan-1"
                type: vxlan
                options: {key=flow, local_ip="192.0.2.1", remote_ip="192.0.2.2"}
        Port patch-ex
            Interface patch-ex
                type: patch
                options: {peer=patch-int}
        Port gone
            Interface gone
                error: "could not open network device gone (No such device)"
    Bridge "br 2"
        Port "br 2"
            Interface "br 2"
                type: internal
    ovs_version: "3.1.0"
"""


def test_bridges_of_ovs_vsctl_show() -> None:
    parsed = parse_vsctl_show(VSCTL, file="show.txt")

    assert parsed.problems == ()
    inner, second = parsed.rows
    assert (inner.name, inner.fail_mode, inner.datapath, inner.host) == ("br-int", "secure", "netdev", "")
    assert (second.name, second.fail_mode, second.ports["br 2"].kind) == ("br 2", None, "internal")
    assert inner.ports.keys() == {"tap1", "trunk", "eth2", "eth3", "vxlan-1", "patch-ex", "gone"}
    assert (inner.ports["tap1"].tag, inner.ports["trunk"].trunks) == (5, (7, 9))
    assert inner.ports["vxlan-1"].options == {
        "key": "flow",
        "local_ip": "192.0.2.1",
        "remote_ip": "192.0.2.2",
    }
    assert (inner.ports["patch-ex"].kind, inner.ports["patch-ex"].options) == ("patch", {"peer": "patch-int"})
    assert all(port.number is None for port in inner.ports.values())
    assert inner.ports["tap1"].span.line == 11


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("    Interface eth0", "stands outside of a Port"),
        ("Bridge b\n    Interface eth0", "stands outside of a Port"),
        ("Bridge b\n  Port p\n    tag: x\n    Interface p", "cannot read the VLANs"),
        ("Bridge b\n  Port p\n    Interface p\n      options: what", "cannot read"),
        ("Bridge b\n  ???", "cannot read"),
    ],
)
def test_what_is_no_line_of_ovs_vsctl_show(text: str, message: str) -> None:
    parsed = parse_vsctl_show(text, file="f")

    assert problem(parsed).kind is Kind.MALFORMED
    assert message in problem(parsed).message


def table(caption: str, headings: list[str], *rows: list[object]) -> str:
    return json.dumps({"caption": caption, "headings": headings, "data": rows}) + "\n"


DATABASE = (
    table("Bridge table", ["_uuid", "name", "ports", "datapath_type"],
          [["uuid", "b"], "br-int", ["set", [["uuid", "p"], ["uuid", "q"]]], ""])
    + table("Port table", ["_uuid", "interfaces", "tag", "trunks", "vlan_mode", "external_ids"],
            [["uuid", "p"], ["uuid", "i"], 7, ["set", []], "access", ["map", []]],
            [["uuid", "q"], ["uuid", "j"], ["set", []], ["set", [1, 2]], ["set", []], ["map", []]])
    + table("Interface table", ["_uuid", "name", "ofport", "type", "options", "mac_in_use", "external_ids"],
            [["uuid", "i"], "tap1", 3, "", ["map", []],
             "fe:00:00:00:00:09",
             ["map", [["attached-mac", "02:00:00:00:00:09"], ["iface-id", "x"]]]],
            [["uuid", "j"], "vx", -1, "vxlan", ["map", [["remote_ip", "192.0.2.2"]]],
             ["set", []], ["map", []]])
    + table("Open_vSwitch table", ["_uuid"], [["uuid", "o"]])
)  # fmt: skip


def test_bridges_of_the_database() -> None:
    parsed = parse_ovsdb(DATABASE, file="ovsdb.jsonl")

    assert parsed.problems == ()
    (bridge,) = parsed.rows
    assert (bridge.name, bridge.datapath, bridge.fail_mode) == ("br-int", "system", None)
    tap, tunnel = bridge.ports["tap1"], bridge.ports["vx"]
    assert (tap.number, tap.kind, tap.tag, tap.vlan_mode) == (3, "", 7, "access")
    assert (tap.mac, tap.attached_mac) == ("fe:00:00:00:00:09", "02:00:00:00:00:09")
    assert (tunnel.number, tunnel.trunks, tunnel.options) == (None, (1, 2), {"remote_ip": "192.0.2.2"})
    assert tap.span.line == 3


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no json", Kind.MALFORMED),
        ("[]", Kind.MALFORMED),
        ("{}", Kind.UNMODELLED),
        ('{"caption":"Bridge table"}', Kind.MALFORMED),
        ('{"caption":"Bridge table","headings":["_uuid"],"data":[[1,2]]}', Kind.MALFORMED),
        ('{"caption":"Bridge table","headings":["_uuid"],"data":[[["uuid","b"]]]}', Kind.MALFORMED),
        (
            table("Bridge table", ["_uuid", "name", "ports"], [["uuid", "b"], "br", ["uuid", "gone"]]),
            Kind.CONTRADICTION,
        ),
    ],
)
def test_what_is_no_database(text: str, kind: Kind) -> None:
    assert problem(parse_ovsdb(text, file="f")).kind is kind


FDB = """\
 port  VLAN  MAC                Age
    8     0  fa:16:3e:e3:66:3c    3
LOCAL     7  2c:ab:00:9a:04:37    2
    2     0  02:00:00:00:00:01  static
"""


def test_what_a_bridge_learned() -> None:
    parsed = parse_fdb_show(FDB, file="br-ex.fdb.txt")

    assert outcomes(parsed) == (3, 2, 0, 0)
    assert [(row.port, row.vlan, row.age) for row in parsed.rows] == [(8, 0, 3), (LOCAL, 7, 2), (2, 0, None)]


def test_ports_by_name_need_their_numbers() -> None:
    line = "tap1     0  fa:16:3e:e3:66:3c    3"
    named = {"tap1": Port("tap1", 5, Span("f", 1))}

    assert parse_fdb_show(line, file="f", ports=named).rows[0].port == 5
    assert problem(parse_fdb_show(line, file="f")).kind is Kind.UNMODELLED


@pytest.mark.parametrize("line", ["8 0 nothing 3", "8 0", "what is this"])
def test_what_is_no_learned_mac(line: str) -> None:
    assert problem(parse_fdb_show(line, file="f")).kind is Kind.MALFORMED


def test_neighbours_of_tunnels() -> None:
    text = (
        "IP                                            MAC                 Bridge\n"
        "==========================================================================\n"
        "10.1.0.15                                     a6:7e:30:d1:fb:42   br-phy\n"
        "2001:db8::1                                   a6:7e:30:d1:fb:43   br-phy   STATIC\n"
        "what\n"
    )
    parsed = parse_tunnel_neighbours(text, file="tnl-neigh-show.txt")

    assert outcomes(parsed) == (2, 3, 0, 1)
    assert [(str(row.address), row.mac, row.bridge) for row in parsed.rows] == [
        ("10.1.0.15", "a6:7e:30:d1:fb:42", "br-phy"),
        ("2001:db8::1", "a6:7e:30:d1:fb:43", "br-phy"),
    ]


def test_one_bridge_of_all_that_was_dumped() -> None:
    (show,) = parse_vsctl_show(
        "Bridge br\n  fail_mode: secure\n  Port tap1\n    tag: 5\n    Interface tap1\n"
        "  Port br\n    Interface br\n      type: internal\n", file="show.txt",
    ).rows  # fmt: skip
    ports = parse_ports(" 3(tap1): addr:fe:00:00:00:00:09\n", file="br.ports.txt").rows
    flows = parse_flows("in_port=tap1 actions=output:br", file="br.flows.txt")
    held = Port("tap1", 99, Span("ovsdb.jsonl", 1), attached_mac=mac("02:00:00:00:00:09"))
    database = Bridge("", "br", {"tap1": held}, datapath="system")

    bridge = merge_bridge(
        "h1", "br", show=show, ovsdb=database, ports=ports, flows=Dump(flows.rows, "br.flows.txt")
    )

    assert (bridge.host, bridge.fail_mode, bridge.datapath) == ("h1", "secure", "system")
    tap = bridge.ports["tap1"]
    assert (tap.number, tap.tag, tap.kind, tap.mac) == (3, 5, "", "fe:00:00:00:00:09")
    assert tap.attached_mac == "02:00:00:00:00:09"
    assert bridge.ports["br"].number == LOCAL
    assert bridge.flows is not None
    assert bridge.flows.rows[0].match[0].value == 3
    assert bridge.flows.rows[0].actions[0].args["port"] == LOCAL
