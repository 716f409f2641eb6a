"""Devices of a bundle: which the kernel makes, which a switch makes, and which are ends of a wire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from typing import Final

from bothways.facts.device import Device as Dumped
from bothways.facts.device import InterfaceAddress
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.lab.site import Device, Member, Place, Wire

__all__ = ["Built", "built_devices", "wires_of"]

#: Devices that every namespace of some kernels has by itself, and that carry nothing.
_FALLBACKS: Final = frozenset(
    {"lo", "tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"}
) | {"ovs-netdev", "ovs-system", "bonding_masters"}
_MADE: Final = frozenset({"bridge", "vlan", "vxlan", "dummy", "vrf", "macvlan"})


@dataclass(slots=True)
class Built:
    """What a namespace's devices become."""

    devices: tuple[Device, ...] = ()
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
    mtus: dict[str, int] = field(default_factory=dict)


def built_devices(host: Host, netns: Netns, missing: list[str]) -> Built:
    """Give a namespace its devices with addresses, MACs and MTUs; what cannot be made is named."""
    out = Built()
    devices = []
    rows = list(netns.devices or ())
    for device in rows:
        if device.name in _FALLBACKS:
            continue
        if device.kind in _MADE and not _of_switch(host, device.name):
            words = _words(device, rows)
            if words is None:
                missing.append(f"{netns.label}: {device.name}, whose lower device the dump does not name")
                continue
            members = tuple(
                each.name for each in rows if each.master == device.name and device.kind in {"bridge", "vrf"}
            )
            devices.append(Device(device.name, words, members))
        if not device.up:
            missing.append(f"{netns.label}: {device.name} is down there and comes up here")
        out.macs[device.name] = str(device.mac)
        if device.mtu is not None:
            out.mtus[device.name] = device.mtu
        out.addresses[device.name] = tuple(_addresses(device, netns))
    out.devices = tuple(sorted(devices, key=lambda each: each.words.startswith("link")))
    return out


def wires_of(snapshot: Snapshot, missing: list[str]) -> tuple[Wire, ...]:
    """Join what the bundle joins: its segments, and veth pairs inside one host. Other ends lead nowhere."""
    wires = []
    done: set[Member] = set()
    for segment in snapshot.segments:
        members = tuple(Member(Place(each.host, each.netns), each.device) for each in segment.members)
        known = tuple(member for member in members if _there(snapshot, member))
        done.update(known)
        if known:
            wires.append(Wire(segment.name, known, _mtu(snapshot, known)))
    for host in snapshot.hosts.values():
        for one, other in _pairs(host, done):
            done.update({one, other})
            wires.append(Wire(f"{one}-{other.device}", (one, other), _mtu(snapshot, (one, other))))
    for host in snapshot.hosts.values():
        for netns in host.netns.values():
            for device in netns.devices or ():
                member = Member(Place(host.name, netns.name), device.name)
                if member in done or device.name in _FALLBACKS or device.kind in _MADE:
                    continue
                if _of_switch(host, device.name, made=True):
                    continue
                missing.append(
                    f"{member}: the bundle does not say what is at its other end: nothing is, here"
                )
                wires.append(Wire(f"{member}", (member,), device.mtu))
    return tuple(wires)


def _addresses(device: Dumped, netns: Netns) -> Iterator[str]:
    for each in device.addresses:
        if each.address.version == 6 and each.address.is_link_local:  # noqa: PLR2004 - the kernel makes its own
            continue
        words = [str(each.address) if each.peer is not None else f"{each.address}/{each.prefix}"]
        words += [f"peer {each.peer}"] if each.peer is not None else []
        words += [f"brd {brd}"] if (brd := _broadcast(each, device, netns)) else []
        words += [f"scope {each.scope}"] if each.scope != "global" else []
        yield " ".join(words)


def _broadcast(address: InterfaceAddress, device: Dumped, netns: Netns) -> str | None:
    """The broadcast address that goes with an address: the local table has a route to it."""
    if address.address.version != 4 or address.peer is not None:  # noqa: PLR2004 - IPv4 alone has them
        return None
    wanted = IPv4Interface(f"{address.address}/{address.prefix}").network.broadcast_address
    if netns.routes is None:
        return "+" if address.prefix < 31 else None  # noqa: PLR2004 - RFC 3021
    for route in netns.routes:
        on_it = any(hop.device == device.name for hop in route.hops)
        if route.kind == "broadcast" and on_it and route.destination.network_address == wanted:
            return str(wanted)
    return None


def _words(device: Dumped, rows: list[Dumped]) -> str | None:
    """What ``ip link add`` is told of a device behind its name; None if its lower device is not known."""
    info = device.info
    if device.kind == "bridge":
        filtering = " vlan_filtering 1" if info.get("vlan_filtering") else ""
        return f"type bridge{filtering} forward_delay 0"
    if device.kind == "dummy":
        return "type dummy"
    if device.kind == "vrf":
        return f"type vrf table {info.get('table', 10)}"
    lower = device.lower or next((each.name for each in rows if each.index == device.link), None)
    if device.kind == "vxlan":
        words = [f"type vxlan id {info.get('id', 0)} dstport {info.get('port', 4789)}"]
        words += [f"local {info['local']}"] if "local" in info else []
        words += [f"remote {info['remote']}"] if "remote" in info else []
        words += [f"group {info['group']}"] if "group" in info else []
        words += [f"dev {info['link']}"] if "link" in info else []
        words += ["nolearning"] if info.get("learning") is False else []
        return " ".join(words)
    if lower is None:
        return None
    if device.kind == "vlan":
        return f"link {lower} type vlan id {info.get('id', 0)}"
    return f"link {lower} type macvlan mode {info.get('mode', 'bridge')}"


def _of_switch(host: Host, device: str, *, made: bool = False) -> bool:
    """Whether the host's switch has it as a port or is called so; with *made* only what the switch makes."""
    if host.switch is None:
        return False
    if device in host.switch.bridges:
        return True
    found = host.switch.bridge_of(device)
    return found is not None and (not made or found[1].kind not in {"", "system", None})


def _pairs(host: Host, done: set[Member]) -> Iterator[tuple[Member, Member]]:
    """Veth pairs of a host, matched where each names the other's index."""
    ends = [
        (Member(Place(host.name, netns.name), device.name), device)
        for netns in host.netns.values()
        for device in netns.devices or ()
        if device.kind == "veth" and device.link is not None
    ]
    taken = set(done)
    for member, device in ends:
        if member in taken:
            continue
        for other, peer in ends:
            if other in taken or other == member or (peer.index, peer.link) != (device.link, device.index):
                continue
            same = member.place == other.place
            if same == (device.link_netns is None and peer.link_netns is None):
                taken.update({member, other})
                yield member, other
                break


def _there(snapshot: Snapshot, member: Member) -> bool:
    netns = snapshot.netns(member.place.host, member.place.netns)
    return netns is not None and netns.device(member.device) is not None


def _mtu(snapshot: Snapshot, members: tuple[Member, ...]) -> int | None:
    mtus: Mapping[Member, int | None] = {
        member: device.mtu
        for member in members
        if (netns := snapshot.netns(member.place.host, member.place.netns)) is not None
        and (device := netns.device(member.device)) is not None
    }
    known = [mtu for mtu in mtus.values() if mtu is not None]
    return max(known) if known else None
