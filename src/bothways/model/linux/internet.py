"""
The way into the IP layer of one namespace: receive, check, route; then deliver or forward.

``net/ipv4/ip_input.c`` and ``route.c``, ``net/ipv6/ip6_input.c`` and ``route.c``. A packet that comes in
passes PREROUTING, is routed, and goes to INPUT and a socket (``delivery``), or to FORWARD, POSTROUTING and
a device (``forwarding``). What the stack answers by itself is sent like any packet of its own (``output``).

Not followed: reassembly of fragments, IP options and extension headers, multicast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.packet import Ip, Packet
from bothways.facts.step import Did
from bothways.model.linux.addresses import select
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.delivery import deliver
from bothways.model.linux.forwarding import forward
from bothways.model.linux.functions import in_family
from bothways.model.linux.hook import Hook
from bothways.model.linux.layer import LOOPBACK, Layer
from bothways.model.linux.ndisc import hears, solicitation
from bothways.model.linux.netfilter import Halt
from bothways.model.linux.output import Outgoing, header_of
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import Wanted, asked_by
from bothways.model.linux.sender import impossible_ipv4, impossible_ipv6, validate
from bothways.model.linux.speaker import may_speak, source_by
from bothways.model.linux.stages import NAT

__all__ = ["Internet"]

_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class Internet:
    """The IP layer of one namespace."""

    layer: Layer

    def receive(
        self, device: str, packet: Packet, account: Account, now_ns: int, bridged: Buffer | None = None
    ) -> None:
        """
        Take a packet that came in at a device.

        :param bridged: what a bridge carried along with it: its marks stay.
        """
        if packet.ip is None:
            return
        version = packet.ip.src.version
        account.note(device, in_family("ip_rcv", version), Did.RECEIVED, packet, f"comes in at {device}")
        buffer = Buffer(packet, device_in=device)
        if bridged is not None:
            buffer.mark, buffer.untracked = bridged.mark, bridged.untracked
            buffer.port_in, buffer.prerouted = bridged.port_in, bridged.prerouted
            if bridged.prerouted:
                buffer.tracking, buffer.zone = bridged.tracking, bridged.zone
            if bridged.packet_type == "other":
                why = "the frame came to another station's MAC, and no rule says that it is for this host"
                account.note(device, in_family("ip_rcv_core", version), Did.DROPPED, packet, why)
                return
        _Pass(self.layer, account, now_ns).come_in(buffer)

    def send(self, buffer: Buffer, account: Account, now_ns: int) -> None:
        """Send a packet that a socket of this namespace made."""
        if buffer.packet.ip is None:
            return
        way = _Pass(self.layer, account, now_ns)
        if buffer.whole or may_speak(self.layer, buffer.packet.ip.src):
            way.go_out(buffer)
        else:
            why = f"{buffer.packet.ip.src} is no address of this namespace: its socket is told at once"
            way.drop(buffer, "ip_route_output_key", f"{why} (Invalid argument)")

    def source_toward(self, address: IPAddress) -> IPAddress | None:
        """The address that a packet of this namespace gets on its way to another; None without a way."""
        route = self.layer.routing.lookup(Wanted(address))
        if route.kind == "unicast" and route.source is None and address.version != _IPV4:
            return select(self.layer.netns, route.device, address)
        return source_by(self.layer, route)

    def solicit(
        self, device: str, target: IPAddress, source: IPAddress | None, account: Account, now_ns: int
    ) -> None:
        """
        Ask at a device who has an IPv6 address.

        :param source: sender of the packet that waits for the answer.
        """
        asked = solicitation(self.layer.netns, device, target, source)
        if asked is None:
            why = f"{device} has no link-local address to ask from, so nobody is asked for {target}"
            account.doubt(f"{self.layer.netns.label}: {why}")
        else:
            _Pass(self.layer, account, now_ns).link(device, asked)


@dataclass(frozen=True, slots=True)
class _Pass(Outgoing):
    """The way of one packet that came in."""

    def come_in(self, buffer: Buffer) -> None:
        """PREROUTING, and the route."""
        if not buffer.prerouted and (self._impossible(buffer) or self._stopped_early(buffer)):
            return
        ip = header_of(buffer)
        # What comes back through `lo` has passed all of this, unless it has lost its route again.
        looped = buffer.device_in == LOOPBACK and bool(buffer.route)
        ipv4 = ip.src.version == _IPV4
        if buffer.route == "local":
            self.note(buffer, "ip_rcv_finish", Did.ROUTED, "it keeps the route that it was sent with")
            deliver(self, buffer)
            return
        martian = impossible_ipv4(self.layer, buffer.device_in, ip) if ipv4 and not looped else None
        if martian is not None:
            self.drop(buffer, "ip_route_input_slow", martian)
            return
        kind = self.layer.routing.kind_of(ip.dst)
        if not ipv4 and kind == "multicast" and hears(self.layer.netns, buffer.device_in, ip.dst):
            deliver(self, buffer)
            return
        if ipv4 and kind == "broadcast":
            self._take_broadcast(buffer, ip, looped=looped)
            return
        if kind in ("multicast", "broadcast"):
            self.note(
                buffer, "ip_rcv_finish", Did.IGNORED, f"{ip.dst} is for everybody, not for a connection"
            )
            return
        route = self.layer.routing.lookup(self._wanted(buffer))
        if route.kind == "unknown":
            self.lost(buffer, "ip_rcv_finish", route)
        elif route.kind == "local":
            buffer.route = route.kind
            checked = validate(self.layer, self.account, buffer, ip, "") if ipv4 and not looped else None
            if checked is not None and checked.refusal:
                self.drop(buffer, "fib_validate_source", checked.refusal, checked.evidence)
                return
            self.note(buffer, "ip_rcv_finish", Did.ROUTED, route.reason, evidence=route.evidence)
            deliver(self, buffer)
        elif route.kind in ("multicast", "broadcast"):
            self.note(buffer, "ip_rcv_finish", Did.IGNORED, route.reason, evidence=route.evidence)
        elif not ipv4 and route.kind != "unicast":
            # IPv6 says so whether it forwards or not (``ip6_pkt_discard``).
            self.refuse(buffer, route)
        else:
            forward(self, buffer, route)

    def _wanted(self, buffer: Buffer) -> Wanted:
        """What a route is asked for; IPv4 without protocol and ports, if no policy rule needs them."""
        asked = asked_by(buffer.packet, device_in=buffer.device_in, mark=buffer.mark)
        if header_of(buffer).src.version != _IPV4 or self.layer.routing.dissects:
            return asked
        return replace(asked, protocol=None, sport=None, dport=None)

    def _impossible(self, buffer: Buffer) -> bool:
        """True if IPv6 takes no such packet."""
        ip = header_of(buffer)
        found = None if ip.src.version == _IPV4 else impossible_ipv6(self.layer, buffer.device_in, ip)
        if found is not None:
            self.drop(buffer, "ip_rcv_core", found[0], found[1])
        return found is not None

    def _stopped_early(self, buffer: Buffer) -> bool:
        """
        PREROUTING; True if the packet ends there.

        What comes back through ``lo`` has its route already (``skb_valid_dst``), and loses it if a
        translation gives it another destination (``nf_nat_ipv4_pre_routing``).
        """
        before = header_of(buffer).dst

        def routed(watched: str) -> Halt | None:
            nonlocal before
            now = header_of(buffer).dst
            if watched == NAT and now != before:
                buffer.route = ""
            before = now
            return None

        halt = self.layer.netfilter.run(
            Hook.PREROUTING, buffer, self.account, self.now_ns, after=routed if buffer.route else None
        )
        if halt is not None:
            self.stop(buffer, halt)
        return halt is not None

    def _take_broadcast(self, buffer: Buffer, ip: Ip, *, looped: bool) -> None:
        """
        Deliver a broadcast, which is for this namespace too (``brd_input`` of ``ip_route_input_slow``).

        Its sender is checked as if it had asked nobody; ``bc_forwarding`` is not followed.
        """
        if not looped and int(ip.src):
            asked = replace(ip, dst=IPv4Address(0))
            checked = validate(self.layer, self.account, buffer, asked, "")
            if checked.refusal:
                self.drop(buffer, "fib_validate_source", checked.refusal, checked.evidence)
                return
        self.note(
            buffer, "ip_rcv_finish", Did.ROUTED, f"{ip.dst} is for everybody on the link, and so for it too"
        )
        deliver(self, buffer)
