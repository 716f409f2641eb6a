"""Which ports of a bridge a frame leaves by: VLANs, flags of ports, groups of the link, length."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from linux_samples import device, dids, fdb, frame, netns, span, stack

from bothways.facts.address import BROADCAST, Mac
from bothways.facts.device import Device, PortVlan
from bothways.facts.dump import Dump
from bothways.facts.packet import Packet
from bothways.facts.snapshot import Netns
from bothways.facts.step import Did

A, B = Mac("02:aa:00:00:00:01"), Mac("02:aa:00:00:00:02")


def port(name: str, number: int, **slave: object) -> Device:
    info = {"info_slave_kind": "bridge", "info_slave_data": slave}
    return device(name, number=number, master="br0", kind="veth", info=info)


PORTS = port("p1", 21), port("p2", 22), port("p3", 23)
#: port -> its VLANs; ``*`` is the PVID, ``-`` goes out without a tag.
ROWS = {"p1": ("10*-",), "p2": ("10", "20-30"), "p3": ("20*-",), "br0": ("1*-", "10")}


def row(name: str, text: str) -> PortVlan:
    first, _, last = text.rstrip("*-").partition("-")
    end = text[len(text.rstrip("*-")) :]
    return PortVlan(name, int(first), int(last or first), span(f"{name} {text}"), "*" in end, "-" in end)


def filtering(
    *ports: Device,
    rows: Mapping[str, tuple[str, ...]] | None = None,
    entries: tuple[tuple[str, str], ...] = (),
) -> Netns:
    br0 = device("br0", "192.0.2.1/24", number=10, kind="bridge", info={"vlan_filtering": 1})
    found = [row(name, text) for name, texts in (rows or ROWS).items() for text in texts]
    space = netns(br0, *(ports or PORTS), sysctls={}, entries=[fdb(m, p, "br0") for m, p in entries])
    return replace(space, vlans=Dump(tuple(found), "vlan"))


def to(destination: Mac, tag: int | None = None) -> Packet:
    sent = frame("10.9.9.1:1000", "10.9.9.2:22").with_macs(A, destination)
    return replace(sent, ethernet=replace(sent.ethernet, vlan=tag))


def leaves(space: Netns, packet: Packet, at: str = "p1") -> dict[str, int | None]:
    """Port -> the tag with which a copy leaves."""
    return {t.device: t.packet.ethernet.vlan for t in stack(space).receive(at, packet, 0).transmissions}


@pytest.mark.parametrize(
    ("at", "tag", "expected"),
    [
        ("p1", None, {"p2": 10}),
        ("p1", 10, {"p2": 10}),
        ("p1", 20, {}),
        ("p2", None, {}),
        ("p2", 10, {"p1": None}),
        ("p2", 25, {}),
        ("p2", 20, {"p3": None}),
        ("p3", None, {"p2": 20}),
    ],
)
def test_a_frame_stays_in_its_vlan(at: str, tag: int | None, expected: dict[str, int | None]) -> None:
    assert leaves(filtering(), to(B, tag), at) == expected


def test_the_reason_names_the_port_without_the_vlan_and_the_line_the_vlan() -> None:
    passage = stack(filtering()).receive("p1", to(B), 0)

    assert "in VLAN 10" in passage.steps[0].reason
    assert "p3 takes no part in VLAN 10" in passage.steps[0].reason
    assert [s.text for s in passage.steps[0].evidence] == ["p1 10*-"]
    refused = stack(filtering()).receive("p2", to(B), 0)
    assert (refused.steps[-1].function, "no PVID" in refused.steps[-1].reason) == ("br_allowed_ingress", True)


def test_an_entry_counts_in_its_own_vlan() -> None:
    space = filtering(entries=((B, "p2"),))
    rows = tuple(replace(each, vlan=20) for each in space.fdb or ())
    there = replace(space, fdb=Dump(rows, "fdb"))
    everywhere = {"p1": ("10*-",), "p2": ("10",), "p3": ("10",)}

    assert leaves(replace(there, vlans=filtering(rows=everywhere).vlans), to(B)) == {"p2": 10, "p3": 10}
    known = replace(there, fdb=Dump(tuple(replace(each, vlan=10) for each in rows), "fdb"))
    assert leaves(replace(known, vlans=filtering(rows=everywhere).vlans), to(B)) == {"p2": 10}


def test_the_bridge_device_is_a_port_like_any_other() -> None:
    up = stack(filtering()).receive("p2", to(BROADCAST, 20), 0)
    own = stack(filtering()).receive("p1", to(BROADCAST), 0)
    vlan = device("br0.10", "192.0.2.9/24", number=30, kind="vlan", link=10, info={"id": 10})

    assert Did.RECEIVED not in dids(up)
    assert "br0 takes no part in VLAN 20" in up.steps[0].reason
    assert [s.place.device for s in own.steps][-1] == "br0"  # it has no device for VLAN 10
    above = replace(filtering(), devices=Dump((*(filtering().devices or ()), vlan), "addr"))
    assert "br0.10" in [s.place.device for s in stack(above).receive("p1", to(BROADCAST), 0).steps]
    sent = {t.device: t.packet.ethernet.vlan for t in stack(above).transmit("br0.10", to(B)).transmissions}
    assert sent == {"p1": None, "p2": 10}


@pytest.mark.parametrize(
    ("flags", "target", "expected"),
    [
        ({"flood": False}, B, {"p3"}),
        ({"flood": False}, BROADCAST, {"p2", "p3"}),
        ({"bcast_flood": False}, BROADCAST, {"p3"}),
        ({"mcast_flood": False}, Mac("33:33:00:00:00:05"), {"p3"}),
        ({"mcast_flood": False}, B, {"p2", "p3"}),
        ({"state": "blocking"}, B, {"p3"}),
    ],
)
def test_flags_of_a_port_keep_floods_out(flags: dict[str, object], target: Mac, expected: set[str]) -> None:
    space = netns(
        device("br0", number=10, kind="bridge"), PORTS[0], port("p2", 22, **flags), PORTS[2], entries=[]
    )

    assert set(leaves(space, to(target))) == expected


def test_a_port_that_does_not_learn() -> None:
    deaf = port("p1", 21, learning=False)
    space = stack(netns(device("br0", number=10, kind="bridge"), deaf, PORTS[1], PORTS[2], entries=[]))
    space.receive("p1", to(B), 0)
    back = to(A).with_macs(B, A)

    assert len(space.receive("p2", back, 0).transmissions) == 2
    space.receive("p3", to(B), 0)
    assert [t.device for t in space.receive("p2", back, 0).transmissions] == ["p3"]


@pytest.mark.parametrize(("mask", "expected"), [(None, set()), ("0x4000", {"p2", "p3"})])
def test_a_group_of_the_link_is_not_passed_on_unless_the_mask_says_so(
    mask: str | None, expected: set[str]
) -> None:
    info = {} if mask is None else {"group_fwd_mask": mask}
    space = netns(device("br0", number=10, kind="bridge", info=info), *PORTS, entries=[])

    assert set(leaves(space, to(Mac("01:80:c2:00:00:0e")))) == expected


def test_a_frame_that_is_too_long_for_a_port_is_dropped_without_a_word() -> None:
    short = replace(PORTS[1], mtu=1400)
    space = netns(device("br0", number=10, kind="bridge"), PORTS[0], short, entries=[(fdb(B, "p2", "br0"))])
    passage = stack(space).receive("p1", replace(to(B), length=1419), 0)

    assert (passage.transmissions, passage.steps[-1].function) == ((), "br_dev_queue_push_xmit")
    assert stack(space).receive("p1", replace(to(B), length=1418), 0).transmissions


def test_a_bridge_that_is_down_takes_nothing() -> None:
    space = netns(device("br0", number=10, kind="bridge", up=False), *PORTS, entries=[])

    assert dids(stack(space).receive("p1", to(B), 0)) == [Did.DROPPED]


def test_a_vlans_device_on_a_port_has_its_frames_before_the_bridge() -> None:
    upper = device("p1.7", number=30, kind="vlan", link=21, info={"id": 7})
    space = netns(device("br0", number=10, kind="bridge"), *PORTS, upper, entries=[])

    assert leaves(space, to(B, 7)) == {}
    assert set(leaves(space, to(B, 8))) == {"p2", "p3"}
