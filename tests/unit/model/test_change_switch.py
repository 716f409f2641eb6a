"""Flows and ports after a change; which flows a pattern reaches is ovs-ofctl(8)'s."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import device, netns, route

from bothways.facts.address import Mac, address
from bothways.facts.device import Neighbour
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, LearnedMac, Port, Switch
from bothways.facts.snapshot import Host, Snapshot
from bothways.facts.span import Span
from bothways.model.change import Applied, NothingToChangeError, apply_change
from bothways.parse.change import parse_change
from bothways.parse.openflow import parse_flows

FLOWS = """\
 cookie=0x1, table=0, priority=100,in_port=1,ip,nw_dst=192.0.2.7 actions=resubmit(,1)
 cookie=0x1, table=0, priority=100,ip,nw_dst=192.0.2.0/24 actions=resubmit(,1)
 cookie=0x2, table=1, priority=100,tcp,nw_dst=192.0.2.7,tp_dst=22 actions=output:2
 cookie=0x2, table=1, priority=0 actions=drop
 cookie=0x3, table=2, priority=7,arp,arp_tpa=192.0.2.7 actions=IN_PORT
"""
IN = device("in0", "10.0.0.1/24", number=3)


def site() -> Snapshot:
    flows = Dump(parse_flows(FLOWS, file="flows").rows, "flows")
    ports = {
        "br0": Port("br0", LOCAL, Span("p", 1), "internal"),
        "in0": Port("in0", 1, Span("p", 2), "internal"),
        "eth0": Port("eth0", 2, Span("p", 3), ""),
    }
    fdb = Dump(
        (
            LearnedMac(IN.mac, 1, 0, 3, Span("f", 1)),
            LearnedMac(Mac("02:00:00:00:00:99"), 2, 0, 3, Span("f", 2)),
        ),
        "fdb",
    )
    bridge = Bridge("host", "br0", ports, flows, fdb)
    learned = Neighbour(address("10.0.0.1"), "up0", IN.mac, frozenset({"REACHABLE"}), Span("n", 1))
    root = replace(
        netns(device("up0", "10.0.0.2/24", number=9), routes=()),
        name="root",
        neighbours=Dump((learned,), "neigh"),
    )
    blue = netns(IN, routes=(route("10.0.0.0/24 dev in0"), route("default via 10.0.0.9 dev in0")))
    switch = Switch("host", {"br0": bridge})
    return Snapshot({"host": Host("host", {"root": root, "blue": blue}, switch)})


def made(command: str) -> Applied:
    return apply_change(site(), parse_change(f"host: {command}"))


def bridge_of(applied: Applied) -> Bridge:
    switch = applied.snapshot.hosts["host"].switch
    assert switch is not None
    return switch.bridges["br0"]


def left(command: str) -> list[int]:
    """Which lines of the dump are left; 0 for a flow of the command."""
    return [flow.span.line or 0 for flow in bridge_of(made(command)).flows or ()]


@pytest.mark.parametrize(
    ("pattern", "lines"),
    [
        ("del-flows br0", []),
        ("del-flows br0 table=1", [1, 2, 5]),
        ("del-flows br0 ip", [4, 5]),
        ("del-flows br0 ip,nw_dst=192.0.2.7", [2, 4, 5]),
        ("del-flows br0 ip,nw_dst=192.0.2.0/24", [4, 5]),
        ("del-flows br0 ip,nw_dst=192.0.2.0/25", [2, 4, 5]),
        ("del-flows br0 tcp", [1, 2, 4, 5]),
        ("del-flows br0 in_port=1", [2, 3, 4, 5]),
        ("del-flows br0 in_port=in0", [2, 3, 4, 5]),
        ("del-flows br0 table=0,ip,nw_dst=192.0.2.7", [2, 3, 4, 5]),
        ("del-flows br0 cookie=0x2/-1", [1, 2, 5]),
        ("del-flows br0 cookie=0x1/0x1", [3, 4]),
        ("--strict del-flows br0 table=1,priority=0", [1, 2, 3, 5]),
        ("--strict del-flows br0 priority=100,ip,nw_dst=192.0.2.0/24", [1, 3, 4, 5]),
        ("--strict del-flows br0 priority=7,arp,arp_tpa=192.0.2.7", [1, 2, 3, 4]),
        ("add-flow br0 table=1,priority=5,actions=drop", [1, 2, 3, 4, 5, 0]),
        ("add-flow br0 table=1,priority=0,actions=NORMAL", [1, 2, 3, 5, 0]),  # the same match: replaced
    ],
)
def test_which_flows_are_left(pattern: str, lines: list[int]) -> None:
    assert left(f"ovs-ofctl {pattern}") == lines


def test_flows_are_changed_in_their_place() -> None:
    flows = list(bridge_of(made("ovs-ofctl mod-flows br0 tcp,actions=drop")).flows or ())

    assert [f.span.line for f in flows] == [1, 2, 3, 4, 5]
    assert [a.name for a in flows[2].actions] == ["drop"]
    assert [a.name for a in flows[0].actions] == ["resubmit"]


def test_ports_that_a_flow_names_get_their_numbers() -> None:
    flow = list(bridge_of(made("ovs-ofctl add-flow br0 'in_port=eth0,actions=in0'")).flows or ())[-1]

    assert [t.value for t in flow.match] == [2]
    assert [a.args.get("port") for a in flow.actions] == [1]


def test_an_internal_port_takes_its_device_with_it() -> None:
    applied = made("ovs-vsctl del-port in0")
    blue, root = (applied.snapshot.netns("host", name) for name in ("blue", "root"))
    assert blue is not None
    assert root is not None

    assert blue.device("in0") is None
    assert len(blue.routes or ()) == 0
    assert len(root.neighbours or ()) == 0, "nobody is there any more, so the entry ages out"
    assert [m.port for m in bridge_of(applied).fdb or ()] == [2]
    assert applied.notes == ("host/blue:in0 goes with the port, with its addresses and routes",)


def test_another_port_leaves_the_device() -> None:
    applied = made("ovs-vsctl del-port br0 eth0")

    assert "eth0" not in bridge_of(applied).ports
    assert applied.notes == ()


def test_a_port_is_added_and_set() -> None:
    added = bridge_of(made("ovs-vsctl add-port br0 vx0 -- set interface vx0 type=vxlan options:key=flow"))
    tagged = bridge_of(made("ovs-vsctl set port eth0 tag=7"))

    assert (added.ports["vx0"].number, added.ports["vx0"].kind) == (3, "vxlan")
    assert added.ports["vx0"].options == {"key": "flow"}
    assert (tagged.ports["eth0"].tag, tagged.ports["eth0"].number) == (7, 2)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ovs-ofctl del-flows br1", "no bridge br1"),
        ("ovs-ofctl del-flows br0 udp", "no flow"),
        ("ovs-ofctl --strict del-flows br0 priority=8,arp", "no flow"),
        ("ovs-ofctl mod-flows br0 udp,actions=drop", "no flow"),
        ("ovs-ofctl add-flow br0 'ip,actions=frobnicate'", "no port or action `frobnicate`"),
        ("ovs-ofctl add-flow br0 'in_port=eth9,actions=drop'", "no port or action `eth9`"),
        ("ovs-vsctl del-port eth9", "has a port eth9"),
        ("ovs-vsctl del-port br0 eth9", "no port eth9"),
        ("ovs-vsctl add-port br0 eth0", "already"),
        ("ovs-vsctl set port eth9 tag=7", "has a port eth9"),
    ],
)
def test_what_is_not_there_cannot_be_changed(command: str, says: str) -> None:
    with pytest.raises(NothingToChangeError, match=says):
        made(command)
