"""Devices beyond which a frame is lost sight of, and devices that take frames from others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from linux_samples import device, frame, netns, route, stack

from bothways.facts.bypass import BypassKind, Side
from bothways.facts.device import Device
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.model.linux.bypass import Bypasses
from bothways.model.linux.unfollowed import FOLLOWED, lost_beyond
from bothways.model.world.sharers import sharing_namespaces

SEGMENT = frame("10.0.0.1:4000", "10.0.0.2:22")


def sent_by(kind: str) -> tuple[str, ...]:
    """What is not known of a packet that leaves by a device of a kind."""
    own = device("t0", "10.0.0.1/24", kind=kind)
    routes = (route("10.0.0.0/24 dev t0"), route("10.0.0.1 dev t0", table="local", kind="local"))
    return stack(netns(own, routes=routes, sysctls={})).send(SEGMENT, 0).unknown


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("gre", "tunnels of the kernel other than VXLAN"),
        ("vti", "tunnels of the kernel other than VXLAN"),
        ("xfrm", "tunnels of the kernel other than VXLAN"),
        ("wireguard", "tunnels of the kernel other than VXLAN"),
        ("ipvlan", "devices that share another one"),
        ("netkit", "devices of this kind"),
        ("one that nobody thought of", "devices of this kind"),
    ],
)
def test_a_frame_is_lost_sight_of_and_the_device_is_named(kind: str, why: str) -> None:
    (unknown,) = sent_by(kind)

    assert unknown == f"where a frame goes that {kind} device t0 of host/blue sends: {why} are not followed"


@pytest.mark.parametrize("kind", sorted(FOLLOWED - {"bridge", "vlan", "bond", "team"}))
def test_what_the_model_knows_is_followed(kind: str) -> None:
    assert sent_by(kind) == ()
    assert lost_beyond(device("t0", kind=kind), "here") == ""


BELOW = device("eth0", "192.0.2.1/24", number=4)
SHARER = device("mac0", "192.0.2.50/24", number=2, kind="macvlan", link=4)


def handlers(*spaces: Netns) -> list[tuple[str, str, str]]:
    """Namespace, device and owner of what takes frames away."""
    hosts = {
        name: Host(name, {n.name: n for n in spaces if n.host == name})
        for name in dict.fromkeys(n.host for n in spaces)
    }
    found = sharing_namespaces(Snapshot(hosts))
    return [(n.name, row.device, row.does.split(",")[0]) for n in found for row in n.handlers or ()]


def space(name: str, *devices: Device, host: str = "host") -> Netns:
    return replace(netns(*devices, name=name), host=host)


@pytest.mark.parametrize(
    ("spaces", "taken"),
    [
        (
            (space("root", BELOW), space("pod", replace(SHARER, link_netns=0))),
            [("root", "eth0", "the macvlan device mac0 of host/pod")],
        ),
        ((space("root", BELOW, SHARER),), [("root", "eth0", "the macvlan device mac0 of host")]),
        # Of another host, on a device that is not there, in the same namespace although it says otherwise.
        ((space("root", BELOW), space("pod", replace(SHARER, link_netns=0), host="other")), []),
        ((space("root", BELOW), space("pod", replace(SHARER, link=9, link_netns=0))), []),
        ((space("root", BELOW, replace(SHARER, link_netns=0)),), []),
        ((space("root", BELOW), space("pod", replace(SHARER, kind="veth", link_netns=0))), []),
    ],
)
def test_a_device_that_shares_another_one_takes_frames_from_it(
    spaces: tuple[Netns, ...], taken: list[tuple[str, str, str]]
) -> None:
    assert handlers(*spaces) == taken


@pytest.mark.parametrize(
    ("target", "told"), [("192.0.2.50", True), ("192.0.2.1", False), ("192.0.2.77", False)]
)
def test_it_counts_for_its_own_addresses(target: str, *, told: bool) -> None:
    spaces = (space("root", BELOW), space("pod", replace(SHARER, link_netns=0)))
    snapshot = Snapshot({"host": Host("host", {n.name: n for n in spaces})})
    (root,) = [n for n in sharing_namespaces(snapshot) if n.name == "root"]
    steps = list(Bypasses(root).at_device("eth0", Side.IN, frame("192.0.2.9:1", f"{target}:2")))

    assert [step.cell for step in steps] == [f"bypass/{BypassKind.SHARED}"] * told
