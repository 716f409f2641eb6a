"""
The way out of the IP layer: what a namespace sends, forwards on, or answers.

``net/ipv4/ip_output.c``, ``icmp.c``, ``nf_reject_ipv4.c``, and their siblings of IPv6. A packet of the
namespace itself is routed, passes OUTPUT, is routed again if a rule changed its addresses or its mark
(``ip_route_me_harder``), and leaves through POSTROUTING like a forwarded one. An answer of the stack is
such a packet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import BROADCAST, IPAddress, Mac
from bothways.facts.packet import Ip, Packet
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux import answers
from bothways.model.linux.answers import KINDS, Trouble
from bothways.model.linux.attached import attached
from bothways.model.linux.buffer import Buffer, Sender
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.tuple import is_icmp_error
from bothways.model.linux.family import version_of
from bothways.model.linux.functions import in_family
from bothways.model.linux.hook import Hook
from bothways.model.linux.layer import LOOPBACK, Layer
from bothways.model.linux.netfilter import Halt
from bothways.model.linux.passage import Account, Transmission
from bothways.model.linux.peer import LIMIT_TOLD, Witness
from bothways.model.linux.routing import Outcome, asked_by
from bothways.model.linux.speaker import error_source, may_speak, reply_mark
from bothways.model.linux.stages import NAT

__all__ = ["Outgoing", "header_of"]

_RAW, _IPV4 = 255, 4  # ``IPPROTO_RAW``, of sockets that write IP headers; the IP version
#: Answers within answers: a packet to an own address that is answered to an own address, and no deeper.
_DEPTH: Final = 8
_SENDABLE: Final = frozenset({"unicast", "local", "broadcast", "multicast"})
#: What a socket is told where its packet has no way (``fib_props``, ``ip6_rt_type_to_error``).
_ERRORS: Final = {
    "none": "Network is unreachable",
    "unreachable": "No route to host",
    "prohibit": "Permission denied",
    "blackhole": "Invalid argument",
}


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
        if route.kind not in _SENDABLE:
            self.drop(buffer, "ip_route_output_flow", _said(route), evidence=route.evidence)
            return
        if self._strays(ip, route):
            why = f"{ip.src} is a loopback address and may not leave by {route.device}"
            self.drop(buffer, "ip_route_output_flow", f"{why}: the sender is told at once (Invalid argument)")
            return
        self._follow(buffer, route)
        before = (ip.src, ip.dst, buffer.mark, ip.tos, ip.src.version != _IPV4 and ip.ttl)

        def rerouted(watched: str) -> Halt | None:
            """Route again if the stage that the packet just passed changed what it watches."""
            nonlocal before
            now = header_of(buffer)
            old, hops = before, now.src.version != _IPV4 and now.ttl
            before = (now.src, now.dst, buffer.mark, now.tos, hops)
            if before == old or not watched or (watched == NAT and now.dst == old[1]):
                return None
            again = self._route_out(buffer, anew=True)
            if again.kind not in _SENDABLE:
                self.drop(buffer, "ip_route_me_harder", again.reason, evidence=again.evidence)
                return Halt()
            self._follow(buffer, again)
            return None

        halt = self.layer.netfilter.run(Hook.OUTPUT, buffer, self.account, self.now_ns, after=rerouted)
        if halt is not None:
            self.stop(buffer, halt)
        else:
            self.leave(buffer)

    def _route_out(self, buffer: Buffer, *, anew: bool = False) -> Outcome:
        """
        Ask for a route.

        An answer of IPv6 is asked for without the type of service that it will have, and what a raw socket
        gives without the protocol that stands in its header.
        """
        asked = asked_by(buffer.packet, mark=buffer.mark)
        # Routed anew, an answer has lost the device that it was bound to (``ip6_route_me_harder``).
        target, device = asked.destination, "" if anew and buffer.sender is not None else buffer.bound
        ipv4 = target.version == _IPV4
        if not ipv4 and (target.is_link_local or target.is_multicast):
            device = device or buffer.device_out  # what is routed anew stays on its link
        asked = replace(asked, device_out=device or None)
        if buffer.sender is not None and not ipv4 and not anew:
            asked = replace(asked, tos=0)
        if buffer.whole and not anew:
            asked = replace(asked, protocol=_RAW, sport=None, dport=None)
        if buffer.sender is Sender.LATER and not anew:
            asked = replace(asked, source=None)
        return self.layer.routing.lookup(asked)

    def _strays(self, ip: Ip, route: Outcome) -> bool:
        """A loopback address does not leave by a device without ``route_localnet`` (``__mkroute_output``)."""
        if ip.src.version != _IPV4 or not ip.src.is_loopback or route.kind == "local":
            return False
        allowed = self.layer.settings.of_device("route_localnet", route.device)
        return route.device != LOOPBACK and not (allowed is not None and allowed.value)

    def _follow(self, buffer: Buffer, route: Outcome) -> None:
        buffer.route, buffer.mtu = route.kind, route.mtu
        buffer.device_out = LOOPBACK if route.kind == "local" else route.device
        nearer = self.layer.learned.gateway.get(header_of(buffer).dst)
        buffer.next_hop = nearer if nearer is not None and route.kind == "unicast" else route.next_hop
        # A route that ICMP taught something keeps its neighbour (``rt_bind_exception``).
        target = header_of(buffer).dst
        buffer.on_link = (
            buffer.next_hop == target and not buffer.whole and target not in self.layer.learned.mtu
        )

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
                # An INVALID packet has no connection to keep, and is looked at once more.
                seen = buffer.tracking
                kept = None if seen is not None and seen.state is CtState.INVALID else seen
                back = Buffer(packet, device_in=LOOPBACK, mark=buffer.mark, tracking=kept)
                back.route = buffer.route
                again.come_in(back)
            return
        found = self.layer.netns.device(device)
        if self.layer.routing.kind_of(ip.dst) in ("broadcast", "multicast") and found is not None:
            self.note(buffer, "ip_output", Did.SENT, f"leaves by {device} for everybody")
            frame = packet.with_macs(found.mac, BROADCAST)
            self.account.transmissions.append(Transmission(device, frame))
            return
        bare = found is not None and bool(found.flags & {"NOARP", "POINTOPOINT"})
        # Without a gateway, a rule behind the routing that writes a destination chooses the neighbour too.
        next_hop = ip.dst if buffer.on_link else buffer.next_hop
        self.note(buffer, "ip_output", Did.SENT, f"leaves by {device} for {next_hop}")
        frame = packet.with_macs(Mac(""), Mac(""))
        self.account.transmissions.append(Transmission(device, frame, None if bare else next_hop))

    def link(self, device: str, packet: Packet) -> None:
        """OUTPUT and POSTROUTING of neighbour discovery, which has its device and MACs already."""
        buffer = Buffer(packet, device_out=device)
        if self.halted(Hook.OUTPUT, buffer) or self.halted(Hook.POSTROUTING, buffer):
            return
        self.note(buffer, "ndisc_send_skb", Did.SENT, f"leaves by {device}")
        self.account.transmissions.append(Transmission(device, buffer.packet))

    # -- answers --------------------------------------------------------------------------------

    def halted(self, hook: Hook, buffer: Buffer) -> bool:
        """Run a hook; True if the packet ends there, which was then told and answered."""
        halt = self.layer.netfilter.run(hook, buffer, self.account, self.now_ns)
        if halt is None:
            return False
        self.stop(buffer, halt)
        return True

    def stop(self, buffer: Buffer, halt: Halt) -> None:
        """Answer a packet that a REJECT rule met; a drop was told already."""
        if not halt.reject:
            return
        evidence = () if halt.rule is None else (halt.rule.span,)
        why = f"a rule rejects it with {halt.reject}"
        if self.for_everybody(buffer):
            self.drop(buffer, "reject_tg", f"{why}; a broadcast is never answered", evidence, halt.cell)
            return
        if halt.reject == "tcp-reset":
            answer = answers.reset(buffer.packet, by_rule=True)
            if answer is None:
                self.drop(buffer, "nf_send_reset", f"{why}; a RST is never answered", evidence, halt.cell)
            else:
                related = attached(buffer.tracking)
                # A RST that has no way is not made (``nf_send_reset``), and the connection stays as it is.
                way = self._route_out(self._answering(buffer, answer, related, Sender.ANY))
                if related is not None and related.connection is not None and way.kind in _SENDABLE:
                    self.layer.netfilter.conntrack.close_by_rule(related.connection, self.now_ns)
                self.answer(
                    buffer, "nf_send_reset", answer, why, related, evidence, halt.cell, sender=Sender.ANY
                )
            return
        kind = answers.REJECTIONS[version_of(buffer)].get(halt.reject)
        if kind is None:
            self.account.doubt(f"what `--reject-with {halt.reject}` answers: it is not modelled")
            self.drop(buffer, "reject_tg", why, evidence, halt.cell)
        else:
            self.complain(buffer, "nf_send_unreach", kind, why, evidence, halt.cell)

    def for_everybody(self, buffer: Buffer) -> bool:
        """True of an IPv4 broadcast, which nothing is answered to."""
        target = header_of(buffer).dst
        return target.version == _IPV4 and self.layer.routing.kind_of(target) == "broadcast"

    def complain(
        self,
        buffer: Buffer,
        function: str,
        trouble: Trouble | tuple[int, int],
        why: str,
        evidence: tuple[Span, ...] = (),
        cell: str = "",
        *,
        mtu: int | None = None,
        forgotten: bool = False,
    ) -> None:
        """
        Drop a packet and tell its sender by ICMP.

        :param mtu: what fits, of a packet that is too big.
        :param forgotten: True where the packet is no longer of its connection (``nf_reset_ct``): the tracker
            then looks at the error as at any other.
        """
        if buffer.sender is not None and buffer.packet.icmp is not None:
            self.drop(buffer, function, f"{why}; no ICMP is sent while ICMP is being sent", evidence, cell)
            return
        kind = KINDS[version_of(buffer)][trouble] if isinstance(trouble, Trouble) else trouble
        source, sender = error_source(self.layer, buffer, header_of(buffer))
        answer = None
        if source is not None and buffer.single and not self.for_everybody(buffer):
            about = buffer.packet.with_macs(Mac(""), Mac(""))
            answer = answers.icmp_error(about, kind, source, mtu=mtu)
        if answer is None:
            self.drop(buffer, function, why, evidence, cell)
            return
        reason = f"{why}: answered with ICMP type {kind[0]} code {kind[1]}"
        related = None if forgotten else attached(buffer.tracking)
        buffer = replace(buffer, tracking=None) if forgotten else buffer
        self.answer(buffer, function, answer, reason, related, evidence, cell, sender=sender)

    def refuse(self, buffer: Buffer, route: Outcome) -> None:
        """
        End a packet whose route says that it goes nowhere (``ip_error``, ``ip6_pkt_drop``).

        Of IPv4 the kernel tells one sender only so many.
        """
        if route.kind not in KINDS[version_of(buffer)]:
            self.drop(buffer, "ip_error", route.reason, evidence=route.evidence)
        elif version_of(buffer) != _IPV4:
            self.complain(buffer, "ip_error", Trouble(route.kind), route.reason, route.evidence)
        elif self._kept_back(header_of(buffer).src):
            why = f"{route.reason}, of which {LIMIT_TOLD}: it was told too often, and is not told now"
            self.drop(buffer, "ip_error", why, evidence=route.evidence)
        else:
            why = f"{route.reason}, of which {LIMIT_TOLD}"
            self.complain(buffer, "ip_error", Trouble(route.kind), why, route.evidence)

    def _kept_back(self, peer: IPAddress) -> bool:
        """True if an error is one too many for a sender; whoever saw what the kernel did knows better."""
        spent = not self.layer.learned.peers.of(peer).spend(self.now_ns)
        oracle = self.layer.oracle
        return oracle.kept_back(peer, spent=spent) if isinstance(oracle, Witness) else spent

    def aside(self, buffer: Buffer, function: str, packet: Packet, answer: Packet, why: str) -> None:
        """Send a packet of the stack's own while the one that made it do so goes on."""
        device = buffer.device_in
        self.tell(buffer, device, function, Did.ANSWERED, packet, why, after=answer)
        if self.depth < _DEPTH:
            again = type(self)(self.layer, self.account, self.now_ns, self.depth + 1)
            again.go_out(self._answering(buffer, answer, attached(buffer.tracking)))

    def tell(
        self,
        buffer: Buffer,
        device: str,
        function: str,
        did: Did,
        before: Packet,
        why: str,
        *,
        after: Packet | None = None,
    ) -> None:
        """Write a step at a device, with the packet before and after it."""
        self.account.note(device, in_family(function, version_of(buffer)), did, before, why, after=after)

    def answer(
        self,
        buffer: Buffer,
        function: str,
        answer: Packet,
        why: str,
        tracking: Tracking | None,
        evidence: tuple[Span, ...] = (),
        cell: str = "",
        *,
        sender: Sender = Sender.OWN,
    ) -> None:
        """Tell of an answer, and send it."""
        if sender is not Sender.ANY and answer.ip is not None and not may_speak(self.layer, answer.ip.src):
            say = f"{why}, which would come from an address that is none of this namespace's: it is not sent"
            self.drop(buffer, "ip_route_output_key", say, evidence, cell)
            return
        self.account.note(
            buffer.device_in or buffer.device_out,
            in_family(function, version_of(buffer)),
            Did.ANSWERED,
            buffer.packet,
            why,
            after=answer,
            evidence=evidence,
            cell=cell,
        )
        if self.depth < _DEPTH:
            again = type(self)(self.layer, self.account, self.now_ns, self.depth + 1)
            again.go_out(self._answering(buffer, answer, tracking, sender))

    def _answering(
        self, buffer: Buffer, answer: Packet, tracking: Tracking | None, sender: Sender = Sender.OWN
    ) -> Buffer:
        mark = reply_mark(self.layer, buffer)
        # The RST of a rule is bound to no device (``nf_send_reset6``).
        bound = "" if sender is Sender.ANY else _bound(buffer, answer)
        held = buffer.tracking is not None and buffer.tracking.state is CtState.UNTRACKED
        hollow = held and (sender is Sender.ANY or is_icmp_error(answer))
        return Buffer(answer, mark=mark, tracking=tracking, bound=bound, sender=sender, hollow=hollow)

    # -- words ----------------------------------------------------------------------------------

    def note(
        self, buffer: Buffer, function: str, did: Did, why: str, *, evidence: tuple[Span, ...] = ()
    ) -> None:
        """Write a step of this packet."""
        name = in_family(function, version_of(buffer))
        self.account.note(_device(buffer), name, did, buffer.packet, why, evidence=evidence)

    def drop(
        self, buffer: Buffer, function: str, why: str, evidence: tuple[Span, ...] = (), cell: str = ""
    ) -> None:
        """Write that the packet ends here."""
        name = in_family(function, version_of(buffer))
        self.account.note(
            _device(buffer), name, Did.DROPPED, buffer.packet, why, evidence=evidence, cell=cell
        )

    def lost(self, buffer: Buffer, function: str, route: Outcome) -> None:
        """Write that nothing tells which way the packet goes."""
        self.account.doubt(route.reason)
        self.note(buffer, function, Did.UNKNOWN, route.reason, evidence=route.evidence)


def _bound(buffer: Buffer, answer: Packet) -> str:
    """An answer to a link-local address leaves by the device where the packet came in (``icmp6_send``)."""
    ip = answer.ip
    if ip is None or ip.dst.version == _IPV4:
        return ""
    # The answer to a ping asks for that device too; routes of others do as well (``icmpv6_echo_reply``).
    echo = answer.icmp is not None and answer.icmp.inner is None
    return buffer.device_in if echo or ip.dst.is_link_local else ""


def _device(buffer: Buffer) -> str:
    return buffer.device_out or buffer.device_in


def header_of(buffer: Buffer) -> Ip:
    """The IP header, which every packet has that comes to this layer."""
    ip = buffer.packet.ip
    if ip is None:
        raise ValueError("a packet without an IP header came to the IP layer")
    return ip


def _said(route: Outcome) -> str:
    error = _ERRORS.get(route.kind)
    return route.reason if error is None else f"{route.reason}: the sender is told at once ({error})"
