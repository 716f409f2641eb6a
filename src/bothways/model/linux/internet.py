"""
The IP layer of one namespace: receive, route, deliver, forward, send.

``net/ipv4/ip_input.c``, ``route.c``, ``ip_forward.c``, ``ip_output.c``, ``tcp_ipv4.c``. A packet that comes
in passes PREROUTING, is routed, and goes to INPUT and a socket, or to FORWARD, POSTROUTING and a device.
What the stack answers by itself is sent like any packet of its own: routed, OUTPUT, POSTROUTING.

Not followed: IPv6, fragments and their reassembly, MTU, ICMP redirects, IP options, multicast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.address import is_group
from bothways.facts.choice import Assumption
from bothways.facts.packet import ICMP, TCP, UDP, Ip, Packet
from bothways.facts.step import Did
from bothways.model.linux import answers
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.output import LOOPBACK, Layer, Outgoing, header_of
from bothways.model.linux.passage import Account
from bothways.model.linux.routing import Outcome, Wanted
from bothways.model.linux.settings import command

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
        if not self._walked(packet, device, account):
            return
        account.note(device, "ip_rcv", Did.RECEIVED, packet, f"comes in at {device}")
        buffer = Buffer(packet, device_in=device)
        if bridged is not None:
            buffer.mark, buffer.untracked = bridged.mark, bridged.untracked
            if bridged.packet_type == "other":
                why = "the frame came to another station's MAC, and no rule says that it is for this host"
                account.note(device, "ip_rcv_core", Did.DROPPED, packet, why)
                return
        _Pass(self.layer, account, now_ns).come_in(buffer)

    def send(self, packet: Packet, account: Account, now_ns: int) -> None:
        """Send a packet that a socket of this namespace made."""
        if self._walked(packet, "", account):
            _Pass(self.layer, account, now_ns).go_out(Buffer(packet))

    def _walked(self, packet: Packet, device: str, account: Account) -> bool:
        if packet.ip is not None and packet.ip.src.version == _IPV4:
            return True
        account.doubt(f"what {self.layer.netns.label} does with an IPv6 packet: IPv6 is not walked yet")
        account.note(device, "ipv6_rcv", Did.UNKNOWN, packet, "IPv6 is not walked yet")
        return False


@dataclass(frozen=True, slots=True)
class _Pass(Outgoing):
    """The way of one packet that came in."""

    # -- in -------------------------------------------------------------------------------------

    def come_in(self, buffer: Buffer) -> None:
        """PREROUTING, and the route."""
        if self.halted(Hook.PREROUTING, buffer):
            return
        ip = header_of(buffer)
        looped = buffer.device_in == LOOPBACK
        martian = None if looped else self._martian(buffer, ip)
        if martian is not None:
            self.drop(buffer, "ip_route_input_slow", martian)
            return
        kind = self.layer.routing.kind_of(ip.dst)
        if kind in ("multicast", "broadcast"):
            self.note(
                buffer, "ip_rcv_finish", Did.IGNORED, f"{ip.dst} is for everybody, not for a connection"
            )
            return
        route = self.layer.routing.lookup(
            Wanted(ip.dst, ip.src, buffer.device_in, mark=buffer.mark, tos=ip.tos)
        )
        if route.kind == "unknown":
            self.lost(buffer, "ip_rcv_finish", route)
        elif route.kind == "local":
            if looped or self._comes_the_right_way(buffer, ip, ""):
                self.note(buffer, "ip_rcv_finish", Did.ROUTED, route.reason, evidence=route.evidence)
                self._deliver(buffer)
        else:
            self._forward(buffer, ip, route)

    def _martian(self, buffer: Buffer, ip: Ip) -> str | None:
        """Why a packet cannot come from outside, None if it can (``ip_route_input_slow``)."""
        source, device, settings = ip.src, buffer.device_in, self.layer.settings
        if source.is_multicast or int(source) == 0 or int(source) == 0xFFFFFFFF:  # noqa: PLR2004 - broadcast
            return f"{source} cannot be a sender (martian source)"
        for address in (source, ip.dst):
            allowed = settings.of_device("route_localnet", device)
            if address.is_loopback and not (allowed is not None and allowed.value):
                return f"{address} is a loopback address and comes in at {device} (martian)"
        owner = self.layer.netns.owner_of(source)
        accepted = settings.of_device("accept_local", device)
        if owner is None or (accepted is not None and accepted.value):
            return None
        return (
            f"its sender {source} is an address of this namespace itself, on {owner[0].name} (martian source)"
        )

    def _comes_the_right_way(self, buffer: Buffer, ip: Ip, onward: str) -> bool:
        """``rp_filter`` (``fib_validate_source``): the sender must be reached by the device it came in at."""
        device, settings = buffer.device_in, self.layer.settings
        setting = settings.of_device("rp_filter", device)
        if setting is not None and setting.value == 0:
            return True
        marked = settings.of_device("src_valid_mark", device)
        mark = buffer.mark if marked is not None and marked.value else 0
        back = self.layer.routing.lookup(Wanted(ip.src, ip.dst, onward, mark=mark))
        if device in back.devices:
            return True
        if back.kind == "unknown":
            if setting is not None:
                self.account.doubt(
                    f"whether rp_filter={setting.value} at {device} lets {ip.src} in: {back.reason}"
                )
            return True
        if setting is None:
            text = f"{self.layer.netns.label} does not filter by reverse path at {device} (rp_filter=0)"
            name = f"sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.{device}.rp_filter"
            self.layer.oracle.assume(Assumption(text, command(self.layer.netns, name)))
            return True
        if setting.value != 1 and back.kind == "unicast":
            return True
        way = f"by {back.device}" if back.kind == "unicast" else "by no route"
        why = f"rp_filter={setting.value} at {device}: {ip.src} is reached {way}"
        self.drop(buffer, "fib_validate_source", why, evidence=(*setting.evidence, *back.evidence))
        return False

    # -- local ----------------------------------------------------------------------------------

    def _deliver(self, buffer: Buffer) -> None:
        if self.halted(Hook.INPUT, buffer):
            return
        packet = buffer.packet
        self.note(buffer, "ip_local_deliver_finish", Did.RECEIVED, "goes to the protocol's receiver")
        protocol = header_of(buffer).protocol
        if protocol == TCP and packet.tcp is not None:
            self._deliver_tcp(buffer)
        elif protocol == UDP and packet.udp is not None:
            self._deliver_udp(buffer)
        elif protocol == ICMP and packet.icmp is not None:
            reply = answers.echo_reply(packet)
            if reply is None:
                self.note(
                    buffer, "icmp_rcv", Did.DELIVERED, f"ICMP type {packet.icmp.type}, for the stack itself"
                )
                self.account.delivered.append(packet)
            else:
                self.answer(buffer, "icmp_echo", reply, "a ping is answered", None)
        else:
            label = self.layer.netns.label
            why = f"what {label} does with IP protocol {protocol}: its receiver is not modelled"
            self.account.doubt(why)
            self.note(buffer, "ip_local_deliver_finish", Did.UNKNOWN, why)

    def _deliver_tcp(self, buffer: Buffer) -> None:
        packet = buffer.packet
        if packet.tcp is not None and packet.tcp.checksum_ok is False:
            self.drop(buffer, "tcp_v4_rcv", "its TCP checksum is wrong: dropped without an answer")
            return
        if is_group(packet.ethernet.dst):
            self.drop(buffer, "tcp_v4_rcv", "it came in a frame for everybody: TCP takes none of those")
            return
        found = self.layer.sockets.lookup(packet, buffer.device_in)
        if found.taken:
            self.note(buffer, "tcp_v4_rcv", Did.DELIVERED, found.reason, evidence=found.evidence)
            self.account.delivered.append(packet)
            return
        answer = answers.reset(packet)
        if answer is None:
            self.note(buffer, "tcp_v4_rcv", Did.IGNORED, f"{found.reason}, and a RST is never answered")
        else:
            self.answer(buffer, "tcp_v4_send_reset", answer, f"{found.reason}: answered with a RST", None)

    def _deliver_udp(self, buffer: Buffer) -> None:
        packet = buffer.packet
        found = self.layer.sockets.lookup(packet, buffer.device_in)
        if found.taken:
            self.note(buffer, "__udp4_lib_rcv", Did.DELIVERED, found.reason, evidence=found.evidence)
            self.account.delivered.append(packet)
        else:
            self.complain(buffer, "__udp4_lib_rcv", answers.PORT_UNREACHABLE, found.reason)

    # -- forward --------------------------------------------------------------------------------

    def _forward(self, buffer: Buffer, ip: Ip, route: Outcome) -> None:
        device = buffer.device_in
        if not self._forwards(buffer, ip):
            return
        if route.kind != "unicast":
            self._unreachable(buffer, route)
            return
        if not self._comes_the_right_way(buffer, ip, route.device):
            return
        if is_group(buffer.packet.ethernet.dst):
            self.drop(
                buffer, "ip_forward", "it came in a frame for everybody: such packets are not forwarded"
            )
            return
        self.note(buffer, "ip_rcv_finish", Did.ROUTED, route.reason, evidence=route.evidence)
        if ip.ttl is not None and ip.ttl <= 1:
            self.complain(buffer, "ip_forward", answers.TIME_EXCEEDED, f"its TTL {ip.ttl} ends here")
            return
        before = buffer.packet
        buffer.packet = before.with_ttl(None if ip.ttl is None else ip.ttl - 1)
        buffer.device_out, buffer.next_hop = route.device, route.next_hop
        why = f"forwarded from {device} to {route.device}"
        self.account.note(device, "ip_forward", Did.CHANGED, before, why, after=buffer.packet)
        if not self.halted(Hook.FORWARD, buffer):
            self.leave(buffer)

    def _forwards(self, buffer: Buffer, ip: Ip) -> bool:
        """``ip_forward``: off means that the packet ends here, without a word."""
        setting = self.layer.settings.forwarding(buffer.device_in)
        label = self.layer.netns.label
        if setting is None:
            text = f"forwarding is on in {label} (net.ipv4.ip_forward=1)"
            what = command(self.layer.netns, "sysctl net.ipv4.ip_forward")
            self.layer.oracle.assume(Assumption(text, what))
            return True
        if setting.value:
            return True
        why = f"{ip.dst} is no address of {label}, and forwarding is off there (net.ipv4.ip_forward=0)"
        self.drop(buffer, "ip_error", why, evidence=setting.evidence)
        return False

    def _unreachable(self, buffer: Buffer, route: Outcome) -> None:
        kind = answers.UNREACHABLE.get(route.kind)
        if kind is None:
            self.drop(buffer, "ip_error", route.reason, evidence=route.evidence)
        else:
            self.complain(buffer, "ip_error", kind, route.reason, evidence=route.evidence)
