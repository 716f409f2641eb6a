"""
What is at the other end of a device.

The snapshot names wires in four ways: an Open vSwitch port (internal ports are a tap of the
switch), a veth pair inside one host, a segment of ``bundle.toml``, and a virtual machine's MAC
(OVSDB ``attached-mac``, or the one device of another host that bears it). What none of these
names leads out of the evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bothways.facts.address import IPAddress, Mac
from bothways.facts.device import Device
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.snapshot import Netns, Snapshot

__all__ = ["At", "SwitchPort", "Wiring"]

_TUNNELS = frozenset({"vxlan", "geneve", "gre", "stt"})


@dataclass(frozen=True, slots=True, order=True)
class At:
    """One device of one namespace."""

    host: str
    netns: str
    device: str

    def __str__(self) -> str:
        """``host/netns:device``."""
        where = self.host if self.netns == "root" else f"{self.host}/{self.netns}"
        return f"{where}:{self.device}"


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """One port of one bridge, with the OpenFlow number that frames arrive with."""

    bridge: Bridge
    port: Port

    @property
    def number(self) -> int | None:
        """OpenFlow port number, None if no dump says."""
        if self.port.number is None and self.port.name == self.bridge.name:
            return LOCAL
        return self.port.number

    @property
    def internal(self) -> bool:
        """True if the port is a device of a network stack on the same host."""
        return self.port.kind == "internal" or self.port.name == self.bridge.name

    @property
    def tunnel(self) -> bool:
        """True if what leaves here is encapsulated."""
        return self.port.kind in _TUNNELS

    @property
    def netdev(self) -> bool:
        """True for the userspace datapath."""
        return self.bridge.datapath == "netdev"


class Wiring:
    """The wires of one snapshot, looked up by their ends."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._devices: dict[At, tuple[Netns, Device]] = {
            At(n.host, n.name, d.name): (n, d) for n in snapshot.namespaces() for d in n.devices or ()
        }
        self._ports: dict[tuple[str, str], SwitchPort] = {
            (host.name, port.name): SwitchPort(bridge, port)
            for host in snapshot.hosts.values()
            if host.switch is not None
            for bridge in host.switch.bridges.values()
            for port in bridge.ports.values()
        }
        self._wires: dict[At, list[At]] = {}
        for segment in snapshot.segments:
            ends = [At(m.host, m.netns, m.device) for m in segment.members]
            for end in ends:
                self._wires.setdefault(end, []).extend(other for other in ends if other != end)
        self._join_veth_pairs()
        self._join_machines()

    def device(self, at: At) -> Device | None:
        """The device at a place, None if it was not collected."""
        found = self._devices.get(at)
        return None if found is None else found[1]

    def switch_port(self, at: At) -> SwitchPort | None:
        """
        The Open vSwitch port that a device is, None if it is none.

        A system port is a device of the host's own namespace; an internal port may have moved.
        """
        found = self._ports.get((at.host, at.device))
        if found is None or (not found.internal and at.netns != "root"):
            return None
        return found

    def port(self, host: str, name: str) -> SwitchPort | None:
        """A port of any bridge of a host by its name."""
        return self._ports.get((host, name))

    def home_of(self, host: str, device: str) -> At | None:
        """The namespace in which a device of a switch stands, None if no dump shows it."""
        ends = [at for at in self._devices if at.host == host and at.device == device]
        return min(ends, key=lambda at: at.netns != "root") if ends else None

    def others(self, at: At) -> tuple[At, ...]:
        """The other ends of the wire at a device; empty if no dump names them."""
        return tuple(dict.fromkeys(self._wires.get(at, ())))

    def patch_peer(self, host: str, end: SwitchPort) -> SwitchPort | str | None:
        """
        The other end of a patch port; why there is none, as a phrase; None if no dump tells.

        Each must name the other (``ofport_update_peer`` of ``ofproto/ofproto-dpif.c``).
        """
        name = end.port.options.get("peer")
        peer = None if name is None else self.port(host, name)
        if name is None:
            return None
        if peer is not None:
            back = peer.port.options.get("peer", end.port.name)
            return peer if back == end.port.name else f"{end.port.name} has no peer: {name} is that of {back}"
        switch = self._snapshot.hosts[host].switch
        if switch is None or not all(bridge.ports for bridge in switch.bridges.values()):
            return None
        return f"{end.port.name} has no peer: no bridge of {host} has a port {name}"

    def ports(self) -> Iterator[tuple[str, SwitchPort]]:
        """Every port of every switch, with its host."""
        return ((host, end) for (host, _), end in self._ports.items())

    def hears(self, mac: Mac) -> list[At]:
        """Every device that bears a MAC."""
        return [at for at, (_, device) in self._devices.items() if device.mac == mac]

    def holds(self, host: str, address: IPAddress) -> bool:
        """True if a namespace of a host has an address."""
        return any(netns.host == host for netns, _, _ in self._snapshot.owners_of(address))

    def _join_veth_pairs(self) -> None:
        """Join pairs inside one host: each is the other's ``link_index``."""
        for at, (_, device) in self._devices.items():
            if device.kind != "veth" or device.link is None or at in self._wires:
                continue
            peers = [
                other
                for other, (_, peer) in self._devices.items()
                if other.host == at.host
                and other != at
                and peer.kind == "veth"
                and peer.index == device.link
                and peer.link == device.index
                and (other.netns != at.netns) == (device.link_netns is not None)
                and other not in self._wires
            ]
            if len(peers) == 1:
                self._wire(at, peers[0])

    def _join_machines(self) -> None:
        """Join a host's port to the machine behind it by the MAC that OVSDB attached to it."""
        for (host, name), end in self._ports.items():
            if end.port.attached_mac is None or end.internal:
                continue
            here = At(host, "root", name)
            there = [at for at in self.hears(end.port.attached_mac) if at.host != host]
            if len(there) == 1 and here not in self._wires:
                self._wire(here, there[0])

    def _wire(self, one: At, other: At) -> None:
        self._wires.setdefault(one, []).append(other)
        self._wires.setdefault(other, []).append(one)
