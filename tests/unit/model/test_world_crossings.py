"""Which devices see a frame."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bothways.facts.address import address, mac
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Port, Switch
from bothways.facts.packet import TCP, UDP, Ethernet, Flag, Ip, Packet, Tcp, Tunnel, Udp
from bothways.facts.sighting import Direction, Tap
from bothways.facts.snapshot import Host, Member, Netns, Segment, Snapshot
from bothways.facts.span import Span
from bothways.facts.step import Did, Place, Step
from bothways.model.world.crossings import Crossings
from bothways.model.world.wiring import At, SwitchPort, Wiring

SPAN = Span("addr.json", 1)
SYN = Packet(
    Ethernet(mac("02:0:0:0:0:1"), mac("02:0:0:0:0:2")),
    Ip(address("192.0.2.1"), address("192.0.2.2"), TCP, 64),
    tcp=Tcp(1024, 22, Flag.SYN, 7, None, 9, 0),
    length=54,
)


def device(name: str, number: int, *held: str) -> Device:
    addresses = tuple(InterfaceAddress(address(each), 24, SPAN) for each in held)
    return Device(name, number, mac(f"02:0:0:0:0:{number}"), SPAN, addresses=addresses)


def host(name: str, *devices: Device, switch: Switch | None = None) -> Host:
    return Host(name, {"root": Netns(name, "root", devices=Dump(devices, "addr.json"))}, switch)


def crossings(*hosts: Host, wire: tuple[str, ...] = ()) -> Crossings:
    segment = Segment("wire", tuple(Member(name, "root", "eth0") for name in wire), SPAN)
    snapshot = Snapshot({each.name: each for each in hosts}, (segment,))
    return Crossings(snapshot, Wiring(snapshot))


def seen(noted: Crossings) -> list[tuple[str, str]]:
    return [(str(each.tap), str(each.direction)) for each in noted.all()]


@pytest.mark.parametrize(
    ("target", "who"),
    [
        ("02:0:0:0:0:2", ["b:eth0"]),  # b's own MAC: a switch brings it to b alone
        ("ff:ff:ff:ff:ff:ff", ["b:eth0", "c:eth0"]),
        ("02:0:0:0:0:9", []),  # nobody's: a stack's device does not keep it, a switch had not flooded it
    ],
)
def test_a_wire_of_three_is_a_switch(target: str, who: list[str]) -> None:
    noted = crossings(
        *(host(name, device("eth0", n)) for n, name in enumerate("abc", 1)), wire=("a", "b", "c")
    )
    frame = SYN.with_macs(mac("02:0:0:0:0:1"), mac(target))

    for name in "bc":
        noted.comes_in(At(name, "root", "eth0"), frame, 0, 0)

    assert seen(noted) == [(each, "in") for each in who]


def test_a_wire_of_two_brings_everything() -> None:
    noted = crossings(host("a", device("eth0", 1)), host("b", device("eth0", 2)), wire=("a", "b"))

    noted.comes_in(At("b", "root", "eth0"), SYN.with_macs(mac("02:0:0:0:0:1"), mac("02:0:0:0:0:9")), 0, 0)

    assert seen(noted) == [("b:eth0", "in")]


def test_time_counts_crossings_and_timers() -> None:
    noted = crossings(host("a", device("eth0", 1)))
    at = At("a", "root", "eth0")

    noted.goes_out(at, SYN, 0, 0)
    noted.goes_out(at, SYN, 0, 0)
    noted.goes_out(at, SYN, 1, 1_000_000_000)

    assert [(each.at_ns, each.journey) for each in noted.all()] == [(0, 0), (1000, 0), (1_000_000_000, 1)]


def test_a_device_on_top_of_another_sees_what_the_stack_takes_from_it() -> None:
    noted = crossings(host("a", device("eth0", 1), device("eth0.7", 2)))
    step = Step(Place("a", "root", "eth0.7"), "ip_rcv", Did.RECEIVED, SYN, SYN, "comes in")
    tagged = replace(SYN, ethernet=replace(SYN.ethernet, vlan=7))

    noted.comes_in(At("a", "root", "eth0"), tagged, 0, 0)
    noted.taken(At("a", "root", "eth0"), (step,), 0, 0)
    noted.taken(At("a", "root", "eth0.7"), (step,), 0, 0)

    assert seen(noted) == [("a:eth0", "in"), ("a:eth0.7", "in")]
    assert [each.packet.ethernet.vlan for each in noted.all()] == [7, None]


@pytest.mark.parametrize(("datapath", "carrier"), [("netdev", "eth1"), ("system", "br-phy")])
def test_a_tunnel_crosses_the_device_that_carries_it(datapath: str, carrier: str) -> None:
    def node(name: str, number: int, held: str) -> tuple[Host, SwitchPort]:
        phy = Bridge(
            name,
            "br-phy",
            {p.name: p for p in (Port("br-phy", LOCAL, SPAN, "internal"), Port("eth1", 1, SPAN, ""))},
            datapath=datapath,
        )
        vxlan = Port("vxlan0", 2, SPAN, "vxlan", {"local_ip": held})
        inner = Bridge(name, "br-int", {"vxlan0": vxlan}, datapath=datapath)
        made = host(
            name,
            device("br-phy", number, held),
            device("eth1", number + 4),
            switch=Switch(name, {"br-phy": phy, "br-int": inner}),
        )
        return made, SwitchPort(inner, vxlan)

    (one, here), (two, there) = node("a", 1, "10.1.0.1"), node("b", 2, "10.1.0.2")
    noted = crossings(one, two)

    noted.tunnelled((("a", here), ("b", there)), address("10.1.0.2"), 7, SYN, 0, 0)

    assert seen(noted) == [(f"a:{carrier}", "out"), (f"b:{carrier}", "in")]
    sent = noted.all()[0]
    assert sent.tunnel is not None
    assert (str(sent.tunnel.src), sent.tunnel.vni) == ("10.1.0.1", 7)
    assert sent.outer is not None
    assert (sent.outer.ethernet.src, sent.outer.ethernet.dst) == (mac("02:0:0:0:0:1"), mac("02:0:0:0:0:2"))
    assert sent.outer.length == 54 + 50
    assert sent.direction is Direction.OUT
    assert sent.tap == Tap("a", "root", carrier)


def test_a_datagram_of_vxlan_shows_what_it_carries_and_nothing_else_does() -> None:
    """Within the walk of a tunnel's datagram, questions for MACs and other datagrams stay what they are."""
    noted, at = crossings(host("a", device("eth0", 1)), host("b", device("eth0", 2))), At("a", "root", "eth0")
    ends = Ip(address("192.0.2.1"), address("192.0.2.2"), UDP, 64)
    datagram, other = (Packet(SYN.ethernet, ends, udp=Udp(60001, port, 62)) for port in (8472, 4789))

    with noted.carrying(SYN, 3, 1086, 8472):
        noted.goes_out(at, datagram, 4, 0)
        noted.goes_out(at, other, 4, 0)
    noted.goes_out(at, datagram, 0, 0)

    inside, *plain = noted.all()
    assert (inside.packet, inside.outer, inside.journey) == (SYN, datagram, 3)
    assert inside.tunnel == Tunnel("vxlan", 1086, ends.src, ends.dst)
    assert [(each.packet, each.tunnel) for each in plain] == [(other, None), (datagram, None)]
