"""
VXLAN of the kernel in a whole site: a frame goes into a datagram, which is walked like any packet.

So the underlay counts: its routes, neighbours, firewalls and links. What arrives at a device of the same
VNI is taken out there and goes on. The walk of the datagram is told as a journey of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.address import IPAddress, Mac, is_group
from bothways.facts.device import Device
from bothways.facts.packet import UDP, Ethernet, Ip, Packet, Udp
from bothways.facts.snapshot import Snapshot
from bothways.facts.step import Did, Place
from bothways.model.linux.answers import ethertype
from bothways.model.linux.stack import Stack
from bothways.model.linux.vxlan import Remote, external, local_of, port_of, remotes, taker
from bothways.model.world.journal import Frame
from bothways.model.world.wiring import At

__all__ = ["KernelTunnels"]

#: RFC 7348 takes the source port from the dynamic range; which one is a hash.
_SOURCE_PORT: Final = 60001
#: Around a frame: Ethernet, IP, UDP and VXLAN, by IP version.
_HEADERS: Final = {4: 50, 6: 70}
_IPV4: Final = 4

#: Walks a datagram of a VNI from a namespace to its end, for a frame that it carries: the namespaces that
#: took it, and why it ended elsewhere.
Walk = Callable[[Stack, Packet, Frame, int], tuple[list[At], str]]


@dataclass(slots=True)
class KernelTunnels:
    """The VXLAN devices of one site in one walk."""

    snapshot: Snapshot
    stacks: Mapping[tuple[str, str], Stack]
    walk: Walk
    learned: dict[At, dict[Mac, IPAddress]] = field(default_factory=dict)

    def carries(self, at: At) -> Device | None:
        """The device at a place if frames that it sends go into a tunnel that is followed."""
        stack = self.stacks.get((at.host, at.netns))
        device = None if stack is None else stack.netns.device(at.device)
        return device if device is not None and device.kind == "vxlan" else None

    def send(
        self, frame: Frame, at: At, device: Device, doubt: Callable[[str], None]
    ) -> list[tuple[Frame, At]]:
        """Carry a frame; the copies that were taken out again, with where."""
        stack, place = self.stacks[at.host, at.netns], Place(at.host, at.netns, at.device)
        if external(device):
            text = f"where {at} sends a frame: another program says so of each one (external)"
            doubt(text)
            frame.note(place, "vxlan_xmit", Did.UNKNOWN, text)
            return []
        target = frame.packet.ethernet.dst
        found = remotes(stack.netns, device, target, self.learned.get(at, {}))
        if not found:
            frame.note(place, "vxlan_xmit", Did.DROPPED, f"no entry of {device.name} says where {target} is")
            return []
        arrived = []
        copies = frame.copies([(frame.packet, ()) for _ in found])
        for remote, copy in zip(found, copies, strict=True):
            arrived.extend(self._to(remote, copy, at, device))
        return arrived

    def _to(self, remote: Remote, frame: Frame, at: At, device: Device) -> list[tuple[Frame, At]]:
        stack, place = self.stacks[at.host, at.netns], Place(at.host, at.netns, at.device)
        source = local_of(device) or stack.source_toward(remote.address)
        if source is None:
            why = f"there is no way from {at.host} to {remote.address}"
            frame.note(place, "vxlan_xmit_one", Did.DROPPED, why)
            return []
        why = f"goes to {remote.address} as vxlan VNI {remote.vni:#x}"
        frame.note(place, "vxlan_xmit", Did.ENCAPSULATED, why)
        if remote.address.is_multicast:
            ends = self._members(remote, at, device)
        else:
            datagram = _datagram(frame.packet, source, remote.address, device)
            ends, lost = self.walk(stack, datagram, frame, remote.vni)
            if not ends:
                frame.note(place, "vxlan_xmit_one", Did.DROPPED, f"its datagram does not arrive: {lost}")
        return [taken for end in ends for taken in self._out(frame, end, remote, source, device)]

    def _members(self, remote: Remote, at: At, device: Device) -> list[At]:
        """Namespaces whose devices of the same group and VNI hear a datagram to everybody."""
        return [
            At(host, netns, "")
            for (host, netns), stack in self.stacks.items()
            if (host, netns) != (at.host, at.netns)
            and any(
                each.kind == "vxlan"
                and str(remote.address) in (each.info.get("group"), each.info.get("group6"))
                for each in stack.netns.devices or ()
            )
            and taker(stack.netns.devices or (), device, remote.vni) is not None
        ]

    def _out(
        self, frame: Frame, end: At, remote: Remote, source: IPAddress, sender: Device
    ) -> list[tuple[Frame, At]]:
        """Take a frame out where its datagram was delivered."""
        netns = self.stacks[end.host, end.netns].netns
        found = taker(netns.devices or (), sender, remote.vni)
        if found is None:
            place = Place(end.host, end.netns)
            frame.note(place, "vxlan_rcv", Did.DROPPED, f"no device there has VNI {remote.vni:#x}")
            return []
        at = At(end.host, end.netns, found.name)
        mac = frame.packet.ethernet.src
        if found.info.get("learning") is not False and mac and not is_group(mac):
            self.learned.setdefault(at, {})[mac] = source
        copy = frame.another()
        why = f"taken out of the tunnel at {end.host}"
        copy.note(Place(at.host, at.netns, at.device), "vxlan_rcv", Did.DECAPSULATED, why)
        return [(copy, at)]


def _datagram(frame: Packet, source: IPAddress, target: IPAddress, device: Device) -> Packet:
    version = target.version
    length = None if frame.length is None else frame.length + _HEADERS[version]
    ip = Ip(source, target, UDP, ttl=64, df=False if version == _IPV4 else None)
    payload = None if frame.length is None else frame.length + 8
    udp = Udp(_SOURCE_PORT, port_of(device), payload)
    return Packet(Ethernet(type=ethertype(target)), ip=ip, udp=udp, length=length)
