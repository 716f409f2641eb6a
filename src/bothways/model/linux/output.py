"""
The way out of the IP layer: what a namespace sends, forwards on, or answers.

``net/ipv4/ip_output.c``, ``icmp.c``, ``nf_reject_ipv4.c``. A packet of the namespace itself is routed,
passes OUTPUT, is routed again if a rule changed its addresses or its mark (``ip_route_me_harder``), and
leaves through POSTROUTING like a forwarded one. An answer of the stack is such a packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.address import BROADCAST, IPAddress, Mac
from bothways.facts.choice import Oracle
from bothways.facts.packet import Ip, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux import answers
from bothways.model.linux.addresses import select
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.conntrack.entry import Tracking
from bothways.model.linux.hook import Hook
from bothways.model.linux.netfilter import Halt, Netfilter, attached
from bothways.model.linux.passage import Account, Transmission
from bothways.model.linux.routing import Outcome, Routing, Wanted
from bothways.model.linux.settings import Settings
from bothways.model.linux.sockets import Sockets

__all__ = ["LOOPBACK", "Layer", "Outgoing", "header_of"]

LOOPBACK: Final = "lo"
#: Answers within answers: a packet to an own address that is answered to an own address, and no deeper.
_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """The parts of one namespace that the IP layer works with."""

    netns: Netns
    routing: Routing
    netfilter: Netfilter
    sockets: Sockets
    settings: Settings
    oracle: Oracle


@dataclass(frozen=True, slots=True)
class Outgoing:
    """
    The way of one packet out of a namespace, and of the answers that it draws.

    :param depth: how many answers and loops through ``lo`` led here.
    """

    layer: Layer
    account: Account
    now_ns: int
    depth: int = 0

    def come_in(self, buffer: Buffer) -> None:
        """Take a packet that comes back through ``lo``."""
        raise NotImplementedError

    def go_out(self, buffer: Buffer) -> None:
        """The route, OUTPUT and POSTROUTING of a packet that was made here."""
        ip = header_of(buffer)
        route = self._route_out(buffer)
        if route.kind == "unknown":
            self.lost(buffer, "ip_route_output_flow", route)
            return
        if route.kind not in ("unicast", "local", "broadcast"):
            self.drop(buffer, "ip_route_output_flow", route.reason, evidence=route.evidence)
            return
        self._follow(buffer, route)
        before = (ip.src, ip.dst, buffer.mark)

        def rerouted() -> Halt | None:
            nonlocal before
            now = header_of(buffer)
            if (now.src, now.dst, buffer.mark) == before:
                return None
            before = (now.src, now.dst, buffer.mark)
            again = self._route_out(buffer)
            if again.kind not in ("unicast", "local", "broadcast"):
                self.drop(buffer, "ip_route_me_harder", again.reason, evidence=again.evidence)
                return Halt()
            self._follow(buffer, again)
            return None

        halt = self.layer.netfilter.run(Hook.OUTPUT, buffer, self.account, self.now_ns, after=rerouted)
        if halt is not None:
            self._stop(buffer, halt)
        else:
            self.leave(buffer)

    def _route_out(self, buffer: Buffer) -> Outcome:
        ip = header_of(buffer)
        return self.layer.routing.lookup(Wanted(ip.dst, ip.src, mark=buffer.mark, tos=ip.tos))

    @staticmethod
    def _follow(buffer: Buffer, route: Outcome) -> None:
        buffer.device_out = LOOPBACK if route.kind == "local" else route.device
        buffer.next_hop = route.next_hop

    def leave(self, buffer: Buffer) -> None:
        """POSTROUTING, and the device."""
        if self.halted(Hook.POSTROUTING, buffer):
            return
        packet, device = buffer.packet, buffer.device_out
        ip = header_of(buffer)
        if device == LOOPBACK:
            self.note(buffer, "loopback_xmit", Did.SENT, "comes back in at lo")
            again = type(self)(self.layer, self.account, self.now_ns, self.depth + 1)
            if self.depth < _DEPTH:
                again.come_in(Buffer(packet, device_in=LOOPBACK, mark=buffer.mark, tracking=buffer.tracking))
            return
        found = self.layer.netns.device(device)
        if self.layer.routing.kind_of(ip.dst) in ("broadcast", "multicast") and found is not None:
            self.note(buffer, "ip_output", Did.SENT, f"leaves by {device} for everybody")
            frame = packet.with_macs(found.mac, BROADCAST)
            self.account.transmissions.append(Transmission(device, frame))
            return
        bare = found is not None and bool(found.flags & {"NOARP", "POINTOPOINT"})
        self.note(buffer, "ip_output", Did.SENT, f"leaves by {device} for {buffer.next_hop}")
        frame = packet.with_macs(Mac(""), Mac(""))
        self.account.transmissions.append(Transmission(device, frame, None if bare else buffer.next_hop))

    # -- answers --------------------------------------------------------------------------------

    def halted(self, hook: Hook, buffer: Buffer) -> bool:
        """Run a hook; True if the packet ends there, which was then told and answered."""
        halt = self.layer.netfilter.run(hook, buffer, self.account, self.now_ns)
        if halt is None:
            return False
        self._stop(buffer, halt)
        return True

    def _stop(self, buffer: Buffer, halt: Halt) -> None:
        """Answer a packet that a REJECT rule met; a drop was told already."""
        if not halt.reject:
            return
        evidence = () if halt.rule is None else (halt.rule.span,)
        why = f"a rule rejects it with {halt.reject}"
        if halt.reject == "tcp-reset":
            answer = answers.reset(buffer.packet)
            if answer is None:
                self.drop(buffer, "nf_send_reset", f"{why}; a RST is never answered", evidence, halt.cell)
            else:
                related = attached(buffer.tracking)
                self.answer(buffer, "nf_send_reset", answer, why, related, evidence, halt.cell)
            return
        kind = answers.REJECTIONS.get(halt.reject)
        if kind is None:
            self.account.doubt(f"what `--reject-with {halt.reject}` answers: it is not modelled")
            self.drop(buffer, "reject_tg", why, evidence, halt.cell)
        else:
            self.complain(buffer, "nf_send_unreach", kind, why, evidence, halt.cell)

    def complain(
        self,
        buffer: Buffer,
        function: str,
        kind: tuple[int, int],
        why: str,
        evidence: tuple[Span, ...] = (),
        cell: str = "",
    ) -> None:
        """Drop a packet and tell its sender by ICMP."""
        source = self._own_address(buffer)
        answer = None if source is None else answers.icmp_error(buffer.packet, kind, source)
        if answer is None:
            self.drop(buffer, function, why, evidence, cell)
            return
        reason = f"{why}: answered with ICMP type {kind[0]} code {kind[1]}"
        self.answer(buffer, function, answer, reason, attached(buffer.tracking), evidence, cell)

    def _own_address(self, buffer: Buffer) -> IPAddress | None:
        """The sender of an ICMP error: the address that was asked, else the one toward the asker."""
        ip = header_of(buffer)
        if self.layer.netns.owner_of(ip.dst) is not None:
            return ip.dst
        back = self.layer.routing.lookup(Wanted(ip.src))
        if back.source is not None:
            return back.source
        return select(self.layer.netns, back.device, back.next_hop) if back.kind == "unicast" else None

    def answer(
        self,
        buffer: Buffer,
        function: str,
        answer: Packet,
        why: str,
        tracking: Tracking | None,
        evidence: tuple[Span, ...] = (),
        cell: str = "",
    ) -> None:
        """Tell of an answer, and send it."""
        self.account.note(
            buffer.device_in or buffer.device_out,
            function,
            Did.ANSWERED,
            buffer.packet,
            why,
            after=answer,
            evidence=evidence,
            cell=cell,
        )
        if self.depth < _DEPTH:
            again = type(self)(self.layer, self.account, self.now_ns, self.depth + 1)
            again.go_out(Buffer(answer, tracking=tracking))

    # -- words ----------------------------------------------------------------------------------

    def note(
        self, buffer: Buffer, function: str, did: Did, why: str, *, evidence: tuple[Span, ...] = ()
    ) -> None:
        """Write a step of this packet."""
        self.account.note(_device(buffer), function, did, buffer.packet, why, evidence=evidence)

    def drop(
        self, buffer: Buffer, function: str, why: str, evidence: tuple[Span, ...] = (), cell: str = ""
    ) -> None:
        """Write that the packet ends here."""
        self.account.note(
            _device(buffer), function, Did.DROPPED, buffer.packet, why, evidence=evidence, cell=cell
        )

    def lost(self, buffer: Buffer, function: str, route: Outcome) -> None:
        """Write that nothing tells which way the packet goes."""
        self.account.doubt(route.reason)
        self.note(buffer, function, Did.UNKNOWN, route.reason, evidence=route.evidence)


def _device(buffer: Buffer) -> str:
    return buffer.device_out or buffer.device_in


def header_of(buffer: Buffer) -> Ip:
    """The IP header, which every packet has that comes to this layer."""
    ip = buffer.packet.ip
    if ip is None:
        raise ValueError("a packet without an IP header came to the IP layer")
    return ip
