"""Names of ports that are longer than OpenFlow can say."""

from __future__ import annotations

from bothways.facts.dump import Dump
from bothways.facts.openflow import Bridge
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_ports import parse_ports
from bothways.parse.ovs_assemble import merge_bridge
from bothways.parse.ovs_vsctl import parse_vsctl_show

SHOW = """\
c0ffee00-0000-4000-8000-000000000001
    Bridge br-tun
        Port vxlan-172.20.211.15
            Interface vxlan-172.20.211.15
                type: vxlan
                options: {key=flow, remote_ip="172.20.211.15"}
        Port br-tun
            Interface br-tun
                type: internal
"""
TWINS = SHOW.replace(
    "        Port br-tun\n",
    "        Port vxlan-172.20.211.16\n            Interface vxlan-172.20.211.16\n"
    "                type: vxlan\n"
    "        Port br-tun\n",
)
PORTS = """\
OFPT_FEATURES_REPLY (xid=0x2): dpid:0000000000000001
 4(vxlan-172.20.21): addr:8e:4c:3d:41:f9:c3
     config:     0
     state:      LIVE
 LOCAL(br-tun): addr:8e:4c:3d:41:f9:c4
"""
FLOWS = ' cookie=0x0, table=0, priority=1,in_port="vxlan-172.20.21" actions=drop\n'


def described(text: str) -> Bridge:
    (bridge,) = [row for row in parse_vsctl_show(text, file="show.txt").rows if isinstance(row, Bridge)]
    return bridge


def test_a_cut_name_is_the_port_that_begins_so() -> None:
    bridge = merge_bridge(
        "host1",
        "br-tun",
        show=described(SHOW),
        ports=parse_ports(PORTS, file="br-tun.ports.txt").rows,
    )
    assert set(bridge.ports) == {"br-tun", "vxlan-172.20.211.15"}
    port = bridge.ports["vxlan-172.20.211.15"]
    assert (port.number, port.kind, port.options["remote_ip"]) == (4, "vxlan", "172.20.211.15")


def test_of_two_that_begin_alike_none_is_guessed() -> None:
    bridge = merge_bridge(
        "host1",
        "br-tun",
        show=described(TWINS),
        ports=parse_ports(PORTS, file="br-tun.ports.txt").rows,
    )
    assert bridge.ports["vxlan-172.20.21"].number == 4
    assert bridge.ports["vxlan-172.20.211.15"].number is None


def test_a_flow_that_says_the_cut_name_gets_the_number() -> None:
    rows = parse_flows(FLOWS, file="br-tun.flows.txt").rows
    bridge = merge_bridge(
        "host1",
        "br-tun",
        show=described(SHOW),
        ports=parse_ports(PORTS, file="br-tun.ports.txt").rows,
        flows=Dump(rows, "br-tun.flows.txt"),
    )
    assert bridge.flows is not None
    (flow,) = bridge.flows.rows
    assert [(term.field, term.value) for term in flow.match] == [("in_port", 4)]


def test_what_is_said_of_a_port_that_cannot_be_read_is_not_said_of_another() -> None:
    text = " 1(tap1): addr:fe:16:3e:00:00:01\n     config:     0\n"
    text += " tap2: addr:fe:16:3e:00:00:02\n     config:     NO_FLOOD\n"
    parsed = parse_ports(text, file="ports")
    assert [(port.name, port.config) for port in parsed.rows] == [("tap1", frozenset())]
    assert [problem.span.line for problem in parsed.problems] == [3]


def test_controllers_stand_below_their_bridge() -> None:
    text = (
        '    Bridge br-a\n        Controller "tcp:10.0.0.1:6653"\n            is_connected: true\n'
        '        Port br-a\n            Interface br-a\n    Bridge br-b\n    Manager "ptcp:6640"\n'
    )
    first, second = parse_vsctl_show(text, file="show").rows
    assert (first.controllers, list(first.ports)) == (("tcp:10.0.0.1:6653",), ["br-a"])
    assert second.controllers == ()
