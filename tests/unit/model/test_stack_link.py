"""ARP, bridges, VLANs: what a namespace does below IP."""

from dataclasses import replace

import pytest
from linux_samples import OUTSIDE, Told, device, did, dids, fdb, frame, netns, route, stack

from bothways.facts.address import BROADCAST, Mac, address
from bothways.facts.device import Device
from bothways.facts.packet import ETH_ARP, Arp, ArpOp, Ethernet, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did

OUT, IN = device("out0", "192.0.2.1/24", "192.0.2.7/32", number=2), device("in0", "10.0.0.1/24", number=3)
EMPTY = Mac("00:00:00:00:00:00")


def asks(target: str, teller: str = "192.0.2.9") -> Packet:
    return Packet(
        Ethernet(OUTSIDE, BROADCAST, ETH_ARP),
        arp=Arp(ArpOp.REQUEST, OUTSIDE, address(teller), EMPTY, address(target)),
    )


# -- ARP -----------------------------------------------------------------------------------------------


def test_an_own_address_is_answered_for_with_its_line() -> None:
    passage = stack(netns(OUT, IN, sysctls={})).receive("out0", asks("192.0.2.7"), 0)
    answered = did(passage, Did.ANSWERED)

    assert (answered.function, answered.place.device, answered.evidence[0].text) == (
        "arp_process",
        "out0",
        "192.0.2.7/32",
    )
    (sent,) = passage.transmissions
    arp = sent.packet.arp
    assert arp is not None
    assert (arp.op, arp.sha, arp.spa, arp.tha, arp.tpa) == (
        ArpOp.REPLY,
        OUT.mac,
        address("192.0.2.7"),
        OUTSIDE,
        address("192.0.2.9"),
    )
    assert (sent.device, sent.next_hop, sent.packet.ethernet.dst) == ("out0", None, OUTSIDE)


@pytest.mark.parametrize("target", ["192.0.2.99", "127.0.0.1", "192.0.2.255"])
def test_other_addresses_are_not(target: str) -> None:
    passage = stack(netns(OUT, IN, sysctls={})).receive("out0", asks(target), 0)

    assert (dids(passage), passage.transmissions) == ([Did.IGNORED], ())


@pytest.mark.parametrize(
    ("sysctls", "target", "teller", "answered"),
    [
        ({}, "10.0.0.1", "192.0.2.9", True),
        ({"net.ipv4.conf.all.arp_ignore": "1"}, "10.0.0.1", "192.0.2.9", False),
        ({"net.ipv4.conf.all.arp_ignore": "1"}, "192.0.2.1", "192.0.2.9", True),
        ({"net.ipv4.conf.out0.arp_ignore": "2"}, "192.0.2.1", "10.9.9.9", False),
        ({"net.ipv4.conf.out0.arp_ignore": "2"}, "192.0.2.1", "192.0.2.9", True),
        ({"net.ipv4.conf.out0.arp_ignore": "8"}, "192.0.2.1", "192.0.2.9", False),
        ({"net.ipv4.conf.all.arp_filter": "1"}, "192.0.2.1", "10.0.0.9", False),
        ({"net.ipv4.conf.all.arp_filter": "1"}, "192.0.2.1", "192.0.2.9", True),
        ({"net.ipv4.conf.out0.proxy_arp": "1"}, "10.0.0.77", "192.0.2.9", True),
        ({"net.ipv4.conf.out0.proxy_arp": "1"}, "192.0.2.77", "192.0.2.9", False),
        ({"net.ipv4.conf.out0.proxy_arp": "1", "net.ipv4.ip_forward": "0"}, "10.0.0.77", "192.0.2.9", False),
    ],
)
def test_sysctls_of_arp(sysctls: dict[str, str], target: str, teller: str, *, answered: bool) -> None:
    routes = (route("192.0.2.0/24 dev out0"), route("10.0.0.0/24 dev in0"))
    passage = stack(netns(OUT, IN, routes=routes, sysctls=sysctls)).receive("out0", asks(target, teller), 0)

    assert bool(passage.transmissions) is answered


def test_answering_for_another_device_is_an_assumption_where_no_sysctl_was_collected() -> None:
    here, there = Told(), Told()
    stack(netns(OUT, IN), here).receive("out0", asks("192.0.2.1"), 0)
    stack(netns(OUT, IN), there).receive("out0", asks("10.0.0.1"), 0)

    assert "arp_ignore" not in here.texts
    assert "arp_ignore" in there.texts


def test_a_reply_is_heard_and_not_answered() -> None:
    reply = Packet(
        Ethernet(OUTSIDE, OUT.mac, ETH_ARP),
        arp=Arp(ArpOp.REPLY, OUTSIDE, address("192.0.2.9"), OUT.mac, address("192.0.2.1")),
    )
    passage = stack(netns(OUT, IN)).receive("out0", reply, 0)

    assert (dids(passage), passage.heard) == ([Did.RECEIVED], (("out0", reply),))


@pytest.mark.parametrize(
    ("name", "target", "waiting", "announce", "sender"),
    [
        ("out0", "192.0.2.50", None, "0", "192.0.2.1"),
        ("in0", "192.0.2.50", None, "0", "10.0.0.1"),
        ("bare", "10.0.0.5", None, "0", "192.0.2.1"),
        ("out0", "192.0.2.50", "10.0.0.1", "0", "10.0.0.1"),
        ("out0", "192.0.2.50", "10.0.0.1", "1", "192.0.2.1"),
        ("out0", "192.0.2.50", "10.0.0.1", "2", "192.0.2.1"),
        ("out0", "192.0.2.50", "203.0.113.9", "0", "192.0.2.1"),
    ],
)
def test_who_asks(name: str, target: str, waiting: str | None, announce: str, sender: str) -> None:
    space = netns(OUT, IN, device("bare", number=9), sysctls={"net.ipv4.conf.all.arp_announce": announce})
    source = None if waiting is None else address(waiting)
    asked = stack(space).ask(name, address(target), source, 0).transmissions[0].packet.arp

    assert asked is not None
    assert (asked.op, str(asked.spa), str(asked.tpa)) == (ArpOp.REQUEST, sender, target)


# -- bridges -------------------------------------------------------------------------------------------

A, B, C = Mac("02:aa:00:00:00:01"), Mac("02:aa:00:00:00:02"), Mac("02:aa:00:00:00:03")


def port(name: str, number: int, **slave: object) -> Device:
    info = {"info_slave_kind": "bridge", "info_slave_data": slave}
    return device(name, number=number, master="br0", kind="veth", info=info)


def bridged(
    *ports: Device, entries: tuple[tuple[str, str], ...] | None = (), bridge: Device | None = None
) -> Netns:
    br0 = bridge or device("br0", "192.0.2.1/24", number=10, kind="bridge")
    rows = None if entries is None else [fdb(mac, name, "br0") for mac, name in entries]
    return netns(br0, *ports, sysctls={}, entries=rows, ss="LISTEN 0 1 0.0.0.0:22 0.0.0.0:*")


P1, P2, P3 = port("p1", 21), port("p2", 22), port("p3", 23)


def to(destination: Mac, source: Mac = A) -> Packet:
    return frame("10.9.9.1:1000", "10.9.9.2:22").with_macs(source, destination)


def ports(space: Netns, packet: Packet, at: str = "p1") -> list[str]:
    return [t.device for t in stack(space).receive(at, packet, 0).transmissions]


def test_an_unknown_mac_is_flooded_as_copies_and_a_known_one_is_not() -> None:
    flooded = stack(bridged(P1, P2, P3)).receive("p1", to(B), 0)

    assert [t.device for t in flooded.transmissions] == ["p2", "p3"]
    assert did(flooded, Did.COPIED).function == "br_flood"
    assert all(t.next_hop is None for t in flooded.transmissions)
    known = stack(bridged(P1, P2, P3, entries=((B, "p3"),))).receive("p1", to(B), 0)
    assert [t.device for t in known.transmissions] == ["p3"]
    assert known.steps[0].evidence[0].text == f"{B} dev p3"


def test_a_bridge_learns_where_a_frame_came_from() -> None:
    space = stack(bridged(P1, P2, P3))
    space.receive("p1", to(B, A), 0)

    assert [t.device for t in space.receive("p2", to(A, B), 1).transmissions] == ["p1"]


def test_a_frame_for_where_it_came_from_goes_nowhere_without_hairpin() -> None:
    hairpin = port("p1", 21, hairpin=True)

    assert ports(bridged(P1, P2, entries=((B, "p1"),)), to(B)) == []
    assert ports(bridged(hairpin, P2, entries=((B, "p1"),)), to(B)) == ["p1"]


@pytest.mark.parametrize(
    ("slave", "expected"),
    [
        ({"state": "blocking"}, ["p3"]),
        ({"state": "forwarding"}, ["p2", "p3"]),
        ({"isolated": True}, ["p2", "p3"]),
    ],
)
def test_ports_that_block(slave: dict[str, object], expected: list[str]) -> None:
    assert ports(bridged(P1, port("p2", 22, **slave), P3), to(B)) == expected


def test_isolated_ports_do_not_hear_each_other() -> None:
    one, two = port("p1", 21, isolated=True), port("p2", 22, isolated=True)

    assert ports(bridged(one, two, P3), to(B)) == ["p3"]


@pytest.mark.parametrize("mac", ["02:00:00:00:00:0a", "02:00:00:00:00:15"])
def test_the_bridges_own_mac_and_that_of_a_port_go_up_to_the_stack(mac: str) -> None:
    packet = frame("192.0.2.9:1000", "192.0.2.1:22").with_macs(A, Mac(mac))
    passage = stack(bridged(P1, P2)).receive("p1", packet, 0)

    assert (len(passage.delivered), passage.transmissions) == (1, ())


def test_a_broadcast_is_flooded_and_answered_by_the_bridge_itself() -> None:
    request = replace(asks("192.0.2.1"), ethernet=Ethernet(A, BROADCAST, ETH_ARP))
    assert request.arp is not None
    request = replace(request, arp=replace(request.arp, sha=A))
    passage = stack(bridged(P1, P2, P3)).receive("p1", request, 0)
    sent = [(t.device, t.packet.arp.op) for t in passage.transmissions if t.packet.arp is not None]

    assert sent == [("p2", ArpOp.REQUEST), ("p3", ArpOp.REQUEST), ("p1", ArpOp.REPLY)]
    assert did(passage, Did.ANSWERED).place.device == "br0"


def test_without_an_fdb_dump_flooding_is_an_assumption() -> None:
    told = Told()
    stack(bridged(P1, P2, entries=None), told).receive("p1", to(B), 0)

    assert "floods" in told.texts


def test_vlan_filtering_without_the_vlans_is_told() -> None:
    bridge = device("br0", number=10, kind="bridge", info={"vlan_filtering": 1})
    passage = stack(bridged(P1, P2, bridge=bridge)).receive("p1", to(B), 0)

    assert any("bridge -j vlan" in text for text in passage.unknown)


def test_the_ports_of_a_switch_and_of_what_is_not_known() -> None:
    master = device("ovs-system", number=30, kind="openvswitch")
    switched = netns(master, device("eth0", number=31, master="ovs-system"))
    strange = netns(device("eth0", number=31, master="gone"))

    assert dids(stack(switched).receive("eth0", to(B), 0)) == [Did.IGNORED]
    passage = stack(strange).receive("eth0", to(B), 0)
    assert (dids(passage), len(passage.unknown)) == ([Did.UNKNOWN], 1)


# -- VLANs, bonds, tunnels -----------------------------------------------------------------------------


def test_a_tagged_frame_comes_in_at_the_device_of_its_vlan_and_goes_out_tagged() -> None:
    lower = device("eth0", number=2)
    upper = device("eth0.7", "192.0.2.1/24", number=3, kind="vlan", link=2, info={"id": 7})
    space = stack(netns(lower, upper, sysctls={}, ss="LISTEN 0 1 0.0.0.0:22 0.0.0.0:*"))
    packet = frame("192.0.2.9:1", "192.0.2.1:22", to=upper)
    tagged = replace(packet, ethernet=replace(packet.ethernet, vlan=7))
    stray = replace(packet, ethernet=replace(packet.ethernet, vlan=8))

    assert space.receive("eth0", tagged, 0).delivered
    assert dids(space.receive("eth0", stray, 0)) == [Did.IGNORED]
    (out,) = space.transmit("eth0.7", packet).transmissions
    assert (out.device, out.packet.ethernet.vlan) == ("eth0", 7)


def test_a_bond_has_what_its_ports_receive() -> None:
    bond = device("bond0", "192.0.2.1/24", number=5, kind="bond")
    member = device("eth0", number=2, master="bond0")
    space = stack(netns(bond, member, sysctls={}, ss="LISTEN 0 1 0.0.0.0:22 0.0.0.0:*"))

    assert space.receive("eth0", frame("192.0.2.9:1", "192.0.2.1:22", to=bond), 0).delivered
    assert [t.device for t in space.transmit("bond0", to(B)).transmissions] == ["eth0"]


def test_a_tunnel_of_the_kernel_is_told() -> None:
    space = stack(
        netns(
            device("gre1", "192.0.2.1/24", number=5, kind="gretap"), routes=[route("192.0.2.0/24 dev gre1")]
        )
    )

    assert any("gretap" in text for text in space.send(frame("192.0.2.1:1", "192.0.2.9:2"), 0).unknown)


def test_a_device_that_no_dump_shows_is_unknown() -> None:
    passage = stack(netns(OUT)).receive("eth9", frame("192.0.2.9:1", "192.0.2.1:22"), 0)

    assert (dids(passage), len(passage.unknown)) == ([Did.UNKNOWN], 1)
