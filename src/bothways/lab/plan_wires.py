"""Wires between namespaces, devices inside them, and what keeps a host's own stack off its switch's ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.lab.act import Act
from bothways.lab.naming import Naming
from bothways.lab.site import Member, Place, Site, Wire

__all__ = ["devices", "wires"]

#: Left on, a switch in userspace reads checksums that were never computed, and what it forwards is dropped.
_OFFLOADS: Final = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")


def wires(site: Site, naming: Naming) -> Iterator[Act]:
    """Make every segment: a veth pair, or veth pairs into one bridge."""
    for number, wire in enumerate(site.wires):
        if len(wire.members) == 2:  # noqa: PLR2004 - a wire has two ends
            ends = [(naming.space(end.place), end.device) for end in wire.members]
            yield from _pair(ends[0], ends[1], wire)
        else:
            bridge = f"seg{number}"
            yield _link(naming.wires, f"link add name {bridge} type bridge", f"link set dev {bridge} up")
            for port, end in enumerate(wire.members):
                near = f"s{number}p{port}"
                yield from _pair((naming.space(end.place), end.device), (naming.wires, near), wire)
                yield _link(naming.wires, f"link set dev {near} master {bridge}")
        for end in wire.members:
            yield from _finished(site, naming, end)
        if wire.loss:
            for end in wire.members:
                yield _lossy(naming.space(end.place), end.device, wire.loss)


def devices(site: Site, naming: Naming) -> Iterator[Act]:
    """Make the devices inside namespaces, and put their ports in."""
    for space in site.spaces.values():
        for device in space.devices:
            lines = [f"link add name {device.name} {device.words}"]
            mac, mtu = space.macs.get(device.name), space.mtus.get(device.name)
            lines += [f"link set dev {device.name} address {mac}"] if mac else []
            lines += [f"link set dev {device.name} mtu {mtu}"] if mtu else []
            for member in device.members:
                lines.append(f"link set dev {member} master {device.name}")
            lines.append(f"link set dev {device.name} up")
            yield Act(
                "devices", ("ip", "-batch", "-"), naming.space(space.place), given="\n".join(lines) + "\n"
            )
    yield from _blinds(site, naming)


def _pair(one: tuple[str, str], other: tuple[str, str], wire: Wire) -> Iterator[Act]:
    mtu = f"mtu {wire.mtu} " if wire.mtu else ""
    words = (
        f"link add name {one[1]} netns {one[0]} {mtu}type veth peer name {other[1]} netns {other[0]} {mtu}"
    )
    yield Act("wires", ("ip", *words.split()))
    for space, device in (one, other):
        yield Act("wires", ("ethtool", "-K", device, *_OFFLOADS), space, mild=True)
        yield _link(space, f"link set dev {device} up")


def _finished(site: Site, naming: Naming, end: Member) -> Iterator[Act]:
    """Give an end its MAC and MTU, and its offloads back where the scenario wants them on."""
    space = site.spaces[end.place]
    name = naming.space(end.place)
    lines = []
    if mac := space.macs.get(end.device):
        lines.append(f"link set dev {end.device} address {mac}")
    if mtu := space.mtus.get(end.device):
        lines.append(f"link set dev {end.device} mtu {mtu}")
    if lines:
        yield _link(name, *lines)
    if end.device in space.offload:
        yield Act("wires", ("ethtool", "-K", end.device, "tx", "on"), name, mild=True)


def _link(space: str, *lines: str) -> Act:
    return Act("wires", ("ip", "-batch", "-"), space, given="\n".join(lines) + "\n")


def _lossy(space: str, device: str, percent: int) -> Act:
    """Lose packets where they arrive: a filter with a random number, which every kernel with nft has."""
    rules = (
        f"table netdev loss_{_plain(device)} {{\n chain in {{\n"
        f'  type filter hook ingress device "{device}" priority -500; policy accept;\n'
        f"  numgen random mod 100 < {percent} drop\n }}\n}}\n"
    )
    return Act("wires", ("nft", "-f", "-"), space, given=rules)


def _blinds(site: Site, naming: Naming) -> Iterator[Act]:
    """
    Keep a host's stack off the ports of its switch.

    A switch in userspace gets a copy of what arrives at a system port; the kernel's stack gets the packet
    too and would answer ARP in that port's name. The packet socket's copy is taken before this hook.
    """
    for host in site.hosts:
        ports = [port.name for bridge in site.bridges_of(host) for port in bridge.ports if port.kind == ""]
        if not ports:
            continue
        chains = "".join(
            f" chain in_{_plain(port)} {{\n"
            f'  type filter hook ingress device "{port}" priority 0; policy drop;\n }}\n'
            for port in ports
        )
        text = f"table netdev ovsports {{\n{chains}}}\n"
        yield Act("devices", ("nft", "-f", "-"), naming.space(Place(host)), given=text)


def _plain(device: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in device)
