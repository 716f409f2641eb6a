from dataclasses import replace

from bothways.facts.address import address, mac
from bothways.facts.device import Device
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Port, Switch
from bothways.facts.snapshot import Host, Member, Netns, Segment, Snapshot
from bothways.facts.span import Span
from bothways.model.world.wiring import At, Wiring

SPAN = Span("addr.json", 1)


def device(name: str, index: int, hw: str, kind: str = "", **more: int) -> Device:
    return Device(
        name, index, mac(hw), SPAN, kind=kind, link=more.get("link"), link_netns=more.get("link_netns")
    )


def host(name: str, *devices: Device, switch: Switch | None = None, inner: tuple[Device, ...] = ()) -> Host:
    netns = {"root": Netns(name, "root", devices=Dump(devices, "addr.json"))}
    if inner:
        netns["ns"] = Netns(name, "ns", devices=Dump(inner, "addr.json"))
    return Host(name, netns, switch)


def bridge(name: str, on: str, *ports: Port) -> Bridge:
    return Bridge(on, name, {p.name: p for p in ports}, datapath="netdev")


def test_a_segment_joins_its_members() -> None:
    one, two = (
        host("a", device("eth0", 2, "02::1".replace("::", ":0:0:0:0:"))),
        host("b", device("eth0", 2, "02:0:0:0:0:2")),
    )
    wire = Segment("x", (Member("a", "root", "eth0"), Member("b", "root", "eth0")), SPAN)

    assert Wiring(Snapshot({"a": one, "b": two}, (wire,))).others(At("a", "root", "eth0")) == (
        At("b", "root", "eth0"),
    )


def test_a_veth_pair_is_joined_both_ways_inside_one_host_only() -> None:
    near = device("veth0", 3, "02:0:0:0:0:1", "veth", link=7, link_netns=0)
    far = device("eth0", 7, "02:0:0:0:0:2", "veth", link=3, link_netns=0)
    sites = Snapshot({"a": host("a", near, inner=(far,)), "b": host("b", far)})

    assert Wiring(sites).others(At("a", "root", "veth0")) == (At("a", "ns", "eth0"),)
    assert Wiring(sites).others(At("b", "root", "eth0")) == ()


def test_a_machine_is_found_by_the_mac_that_ovsdb_attached() -> None:
    tap = Port("tap1", 7, SPAN, kind="", attached_mac=mac("02:0:0:0:0:9"))
    compute = host(
        "c", device("tap1", 4, "fe:0:0:0:0:9"), switch=Switch("c", {"br-int": bridge("br-int", "c", tap)})
    )
    machine = host("vm", device("eth0", 2, "02:0:0:0:0:9"))

    assert Wiring(Snapshot({"c": compute, "vm": machine})).others(At("c", "root", "tap1")) == (
        At("vm", "root", "eth0"),
    )


def test_internal_ports_are_the_switches_own_even_after_they_moved() -> None:
    port = Port("qg-1", 8, SPAN, kind="internal")
    switch = Switch("a", {"br-ex": bridge("br-ex", "a", port, Port("br-ex", None, SPAN))})
    site = Wiring(
        Snapshot(
            {
                "a": host(
                    "a",
                    device("br-ex", 1, "02:0:0:0:0:1"),
                    switch=switch,
                    inner=(device("qg-1", 2, "02:0:0:0:0:2"),),
                )
            }
        )
    )

    end = site.switch_port(At("a", "ns", "qg-1"))
    assert end is not None
    assert end.internal
    assert end.number == 8
    assert site.home_of("a", "qg-1") == At("a", "ns", "qg-1")
    local = site.switch_port(At("a", "root", "br-ex"))
    assert local is not None
    assert local.number == LOCAL


def test_a_device_of_a_namespace_is_no_system_port_of_the_same_name() -> None:
    switch = Switch("a", {"br-ex": bridge("br-ex", "a", Port("eth0", 2, SPAN, kind=""))})
    site = Wiring(
        Snapshot(
            {
                "a": host(
                    "a",
                    device("eth0", 3, "02:0:0:0:0:1"),
                    switch=switch,
                    inner=(device("eth0", 2, "02:0:0:0:0:2"),),
                )
            }
        )
    )

    assert site.switch_port(At("a", "ns", "eth0")) is None
    assert site.switch_port(At("a", "root", "eth0")) is not None


def test_a_tunnel_ends_where_kind_addresses_and_key_fit() -> None:
    here = Port(
        "vx", 4, SPAN, kind="vxlan", options={"remote_ip": "10.0.0.2", "local_ip": "10.0.0.1", "key": "flow"}
    )
    there = Port(
        "vx", 4, SPAN, kind="vxlan", options={"remote_ip": "10.0.0.1", "local_ip": "10.0.0.2", "key": "flow"}
    )
    sites = {
        "a": host("a", switch=Switch("a", {"br": bridge("br", "a", here)})),
        "b": host("b", switch=Switch("b", {"br": bridge("br", "b", there)})),
        "c": host(
            "c",
            switch=Switch("c", {"br": bridge("br", "c", replace(there, options={"local_ip": "10.0.0.3"}))}),
        ),
        "d": host(
            "d",
            switch=Switch(
                "d", {"br": bridge("br", "d", replace(there, options={**there.options, "key": "9"}))}
            ),
        ),
    }
    wiring = Wiring(Snapshot(sites))
    end = wiring.port("a", "vx")
    assert end is not None

    assert [name for name, _ in wiring.tunnel_ends(end, "a", address("10.0.0.2"), 0x43E)] == ["b"]
    assert [name for name, _ in wiring.tunnel_ends(end, "a", address("10.0.0.2"), 9)] == ["b", "d"]
