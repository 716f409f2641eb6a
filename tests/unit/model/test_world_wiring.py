from dataclasses import replace

import pytest

from bothways.facts.address import address, mac
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Port, Switch
from bothways.facts.snapshot import Host, Member, Netns, Segment, Snapshot
from bothways.facts.span import Span
from bothways.model.world.tunnel_ports import refusal, takers
from bothways.model.world.wiring import At, SwitchPort, Wiring

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

    assert [name for name, _ in takers(wiring, end, "a", address("10.0.0.2"), 0x43E)] == ["b"]
    assert [name for name, _ in takers(wiring, end, "a", address("10.0.0.2"), 9)] == ["b", "d"]


def ending(**options: str) -> Port:
    return Port("in", 5, SPAN, kind="vxlan", options=options)


@pytest.mark.parametrize(
    ("ports", "key", "taken"),
    [
        ([ending(remote_ip="10.0.0.1", key="flow"), ending(remote_ip="10.0.0.1", key="7")], 7, {"key": "7"}),
        (
            [ending(remote_ip="flow", key="7"), ending(remote_ip="10.0.0.1", key="7")],
            7,
            {"remote_ip": "10.0.0.1"},
        ),
        ([ending(key="flow"), ending(key="flow", local_ip="10.0.0.2")], 7, {"local_ip": "10.0.0.2"}),
        ([ending(key="flow", local_ip="flow"), ending(key="flow")], 7, {"key": "flow"}),
        ([ending(in_key="7", out_key="9")], 7, {"in_key": "7"}),
        ([ending(in_key="7", out_key="9")], 9, None),
        ([ending(remote_ip="10.0.0.1")], 7, None),
        ([ending(remote_ip="10.0.0.1")], 0, {}),
        ([ending(remote_ip="10.0.0.3", key="7")], 7, None),
        ([ending(remote_ip="gateway.example", key="7")], 7, None),
    ],
)
def test_the_most_exact_port_takes_a_packet(
    ports: list[Port], key: int, taken: dict[str, str] | None
) -> None:
    named = [replace(port, name=f"in{number}") for number, port in enumerate(ports)]
    here = ending(remote_ip="10.0.0.2", local_ip="10.0.0.1", key="flow")
    there = Netns("b", "root", devices=Dump((holding("10.0.0.2"),), "addr.json"))
    switch = Switch("b", {"br": bridge("br", "b", *named)})
    site = Snapshot(
        {
            "a": host("a", switch=Switch("a", {"br": bridge("br", "a", here)})),
            "b": Host("b", {"root": there}, switch),
        }
    )
    wiring = Wiring(site)
    end = wiring.port("a", "in")
    assert end is not None
    found = takers(wiring, end, "a", address("10.0.0.2"), key)

    assert len(found) == (taken is not None)
    assert all(item in end.port.options.items() for _, end in found for item in (taken or {}).items())
    refused = refusal(site, wiring, end, address("10.0.0.2"), key)
    assert refused == f"b has no vxlan port that takes packets with key {key:#x} from this one"
    assert refusal(site, wiring, end, address("10.0.0.9"), key) == ""


def test_that_a_kernel_takes_what_the_switch_does_not_is_not_ruled_out() -> None:
    here = ending(remote_ip="10.0.0.2", key="7")
    kernels = replace(device("vx7", 9, "02:0:0:0:0:7"), kind="vxlan")
    there = Netns("b", "root", devices=Dump((holding("10.0.0.2"), kernels), "addr.json"))
    switch = Switch("b", {"br": bridge("br", "b", Port("eth1", 1, SPAN, kind=""))})
    near = host("a", switch=Switch("a", {"br": bridge("br", "a", here)}))
    site = Snapshot({"a": near, "b": Host("b", {"root": there}, switch)})
    end = Wiring(site).port("a", "in")
    assert end is not None

    assert refusal(site, Wiring(site), end, address("10.0.0.2"), 7) == ""


def holding(text: str) -> Device:
    held = InterfaceAddress(address(text), 24, SPAN)
    return replace(device("eth0", 2, "02:0:0:0:0:2"), addresses=(held,))


@pytest.mark.parametrize(
    ("options", "back", "said"),
    [
        ({"peer": "out"}, {"peer": "in"}, "out"),
        ({"peer": "gone"}, {"peer": "in"}, "in has no peer: no bridge of a has a port gone"),
        ({"peer": "out"}, {"peer": "other"}, "in has no peer: out is that of other"),
        ({"peer": "out"}, {}, "out"),
        ({}, {"peer": "in"}, None),
    ],
)
def test_patch_ports_are_joined_if_each_names_the_other(
    options: dict[str, str], back: dict[str, str], said: str | None
) -> None:
    one = bridge("br1", "a", Port("in", 1, SPAN, kind="patch", options=options))
    two = bridge("br2", "a", Port("out", 1, SPAN, kind="patch", options=back))
    wiring = Wiring(Snapshot({"a": host("a", switch=Switch("a", {"br1": one, "br2": two}))}))
    end = wiring.port("a", "in")
    assert end is not None
    found = wiring.patch_peer("a", end)

    assert (found.port.name if isinstance(found, SwitchPort) else found) == said


def test_a_peer_may_stand_in_a_bridge_whose_ports_no_dump_shows() -> None:
    one = bridge("br1", "a", Port("in", 1, SPAN, kind="patch", options={"peer": "out"}))
    wiring = Wiring(Snapshot({"a": host("a", switch=Switch("a", {"br1": one, "br2": bridge("br2", "a")}))}))
    end = wiring.port("a", "in")
    assert end is not None

    assert wiring.patch_peer("a", end) is None
