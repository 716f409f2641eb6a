"""
What captures would hold: every packet of a walk at every device, in the order in which it was moved.

A capture sees a frame that a stack hands to a device and one that a device receives, also if the stack then
drops it. A frame for somebody else on a shared wire is not seen: a wire of more than two ends is taken for a
switch that knows its stations. The walk knows order and timers, not durations: each crossing takes a
microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bothways.facts.address import UNKNOWN_MAC, IPAddress, Mac, is_group
from bothways.facts.device import Device, InterfaceAddress
from bothways.facts.packet import ETH_IP, ETH_IP6, UDP, Ethernet, Ip, Packet, Tunnel, Udp
from bothways.facts.prediction import Crossing
from bothways.facts.sighting import Direction, Tap
from bothways.facts.snapshot import Snapshot
from bothways.facts.step import Step
from bothways.model.world.wiring import At, SwitchPort, Wiring

__all__ = ["Crossings"]

#: RFC 7348 takes the source port from the dynamic range; which one is a hash that differs by sender.
_TUNNEL_SOURCE_PORT: Final = 60001
_TUNNEL_PORTS: Final = {"vxlan": 4789, "geneve": 6081}
#: Ethernet, UDP and tunnel header around a packet, RFC 7348 and RFC 8926 without options.
_TUNNEL_OCTETS: Final = 14 + 8 + 8
_IP_OCTETS: Final = {4: 20, 6: 40}
_STEP_NS: Final = 1_000
#: Where a stack takes a frame from a device that stands on another one.
_RECEIVERS: Final = frozenset({"ip_rcv", "ipv6_rcv", "arp_process", "arp_rcv"})


class Crossings:
    """The packets that crossed a device so far."""

    def __init__(self, snapshot: Snapshot, wiring: Wiring) -> None:
        self._snapshot = snapshot
        self._wiring = wiring
        self._seen: list[Crossing] = []
        self._last_ns = -_STEP_NS
        #: Innermost last: the port of a tunnel's datagrams, its VNI, what they carry now, and its journey.
        self._carried: list[tuple[int, int, Packet, int]] = []

    def all(self) -> tuple[Crossing, ...]:
        """Everything that was noted, in order."""
        return tuple(self._seen)

    def goes_out(self, at: At, packet: Packet, journey: int, now_ns: int) -> None:
        """Note a packet that a device sends."""
        self._note(at, Direction.OUT, packet, journey, now_ns)

    def comes_in(self, at: At, packet: Packet, journey: int, now_ns: int) -> None:
        """Note a packet that reaches a device, unless the wire would not have brought it there."""
        if not self._passes_by(at, packet.ethernet.dst):
            self._note(at, Direction.IN, packet, journey, now_ns)

    def taken(self, at: At, steps: tuple[Step, ...], journey: int, now_ns: int) -> None:
        """Note what the stack took from a device above *at*: a bridge, a VLAN, a bond."""
        step = next((each for each in steps if each.function in _RECEIVERS), None)
        if step is not None and step.place.device not in ("", at.device):
            upper = At(at.host, at.netns, step.place.device)
            self._note(upper, Direction.IN, step.before, journey, now_ns)

    @contextmanager
    def carrying(self, packet: Packet, journey: int, vni: int, port: int) -> Iterator[None]:
        """
        Within, the datagrams to a UDP *port* that are noted carry a packet of a journey through VXLAN.

        So a capture of the underlay holds the packet as well as what is around it.
        """
        self._carried.append((port, vni, packet, journey))
        try:
            yield
        finally:
            self._carried.pop()

    def tunnelled(
        self, ends: tuple[tuple[str, SwitchPort], tuple[str, SwitchPort]], remote: IPAddress, vni: int | None,
        packet: Packet, journey: int, now_ns: int,
    ) -> None:  # fmt: skip
        """
        Note a packet in its tunnel, at the devices of both hosts that carry the underlay.

        :param ends: host and tunnel port of sender and receiver.
        :param remote: address that the outer packet goes to.
        """
        (host, here), (other, there) = ends
        kind = here.port.kind or "tunnel"
        source = self._source(host, here, there, remote)
        tunnel = Tunnel(kind, vni or 0, source, remote)
        sender, receiver = self._holder(host, source), self._holder(other, remote)
        outer = _outer(kind, source, remote, sender, receiver, packet)
        for name, held, way in ((host, sender, Direction.OUT), (other, receiver, Direction.IN)):
            for device in () if held is None else self._carriers(name, held[0].name):
                tap = Tap(name, "root", device)
                self._seen.append(Crossing(tap, way, packet, journey, self._clock(now_ns), tunnel, outer))

    def _note(self, at: At, way: Direction, packet: Packet, journey: int, now_ns: int) -> None:
        tap, moment = Tap(at.host, at.netns, at.device), self._clock(now_ns)
        port, vni, carried, cause = self._carried[-1] if self._carried else (0, 0, packet, journey)
        if carried is packet or packet.udp is None or packet.ip is None or packet.udp.dport != port:
            self._seen.append(Crossing(tap, way, packet, journey, moment))
            return
        tunnel = Tunnel("vxlan", vni, packet.ip.src, packet.ip.dst)
        self._seen.append(Crossing(tap, way, carried, cause, moment, tunnel, packet))

    def _clock(self, now_ns: int) -> int:
        self._last_ns = max(now_ns, self._last_ns + _STEP_NS)
        return self._last_ns

    def _passes_by(self, at: At, target: Mac) -> bool:
        """True if a frame reached this end of the wire only because the wire is drawn without its switch."""
        device = self._wiring.device(at)
        if not target or is_group(target) or device is None or device.mac == target:
            return False
        others = self._wiring.others(at)
        if len(others) < 2:  # noqa: PLR2004 - a wire of two ends brings everything to the other one
            return False
        homes = {holder.host for holder in self._wiring.hears(target)}
        if at.host not in homes and any(other.host in homes for other in others):
            return True
        return self._wiring.switch_port(at) is None and device.master is None

    # -- the underlay -----------------------------------------------------------------------------

    def _source(self, host: str, here: SwitchPort, there: SwitchPort, remote: IPAddress) -> IPAddress | None:
        """Address that the sender of a tunnel uses: as either end says, else the one nearest to *remote*."""
        said = here.port.options.get("local_ip"), there.port.options.get("remote_ip")
        netns = self._snapshot.netns(host, "root")
        held = [a for d in (() if netns is None else netns.devices or ()) for a in d.addresses]
        for address in held:
            if str(address.address) in said:
                return address.address
        return next((a.address for a in held if _on_link(a, remote)), None)

    def _holder(self, host: str, address: IPAddress | None) -> tuple[Device, InterfaceAddress] | None:
        netns = self._snapshot.netns(host, "root")
        return None if netns is None or address is None else netns.owner_of(address)

    def _carriers(self, host: str, name: str) -> tuple[str, ...]:
        """
        Where a capture sees what a device with the tunnel's address sends and receives.

        The userspace datapath puts tunnel packets on the ports of the bridge that bears the address, past the
        bridge's own device.
        """
        end = self._wiring.switch_port(At(host, "root", name))
        if end is None or not end.netdev:
            return (name,)
        ports = [port for port in end.bridge.ports.values() if port.name != name]
        return tuple(port.name for port in ports if not SwitchPort(end.bridge, port).internal)


def _on_link(held: InterfaceAddress, remote: IPAddress) -> bool:
    if held.address.version != remote.version or held.address.is_loopback:
        return False
    shift = held.address.max_prefixlen - held.prefix
    return int(held.address) >> shift == int(remote) >> shift


def _outer(
    kind: str,
    source: IPAddress | None,
    remote: IPAddress,
    sender: tuple[Device, InterfaceAddress] | None,
    receiver: tuple[Device, InterfaceAddress] | None,
    packet: Packet,
) -> Packet | None:
    """The headers around a packet, None if who sends them is not known."""
    port = _TUNNEL_PORTS.get(kind)
    if source is None or port is None:
        return None
    near = sender is not None and _on_link(sender[1], remote)
    target = receiver[0].mac if receiver is not None and near else UNKNOWN_MAC
    ethernet = Ethernet(
        UNKNOWN_MAC if sender is None else sender[0].mac, target, ETH_IP if source.version == 4 else ETH_IP6  # noqa: PLR2004
    )  # fmt: skip
    length = None if packet.length is None else packet.length + _TUNNEL_OCTETS + _IP_OCTETS[source.version]
    payload = None if packet.length is None else packet.length + 8
    ip = Ip(source, remote, UDP, ttl=64, df=True)
    return Packet(ethernet, ip, udp=Udp(_TUNNEL_SOURCE_PORT, port, payload), length=length)
