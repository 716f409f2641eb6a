"""
What becomes of a packet for the namespace itself: INPUT, the receiver of its protocol, a socket.

``ip_local_deliver`` and ``ip6_input``; ``tcp_ipv4.c``, ``udp.c``, ``icmp.c`` and their siblings of IPv6. A
segment or datagram that no socket takes is answered by a RST or by an ICMP error, as RFC 9293 and RFC 1122
ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.choice import Assumption
from bothways.facts.packet import (
    ICMP,
    ICMP6,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
    TCP,
    UDP,
    Icmp,
)
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux import answers, ndisc
from bothways.model.linux.answers import KINDS, Trouble
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.family import version_of
from bothways.model.linux.hook import Hook
from bothways.model.linux.output import Outgoing, header_of
from bothways.model.linux.path_mtu import LEAST_IPV6
from bothways.model.linux.settings import command

__all__ = ["deliver"]


def deliver(way: Outgoing, buffer: Buffer) -> None:
    """Take a packet for the namespace itself."""
    if way.halted(Hook.INPUT, buffer):
        return
    way.note(buffer, "ip_local_deliver_finish", Did.RECEIVED, "goes to the protocol's receiver")
    protocol = header_of(buffer).protocol
    receiver = _RECEIVERS.get(protocol)
    if receiver is None or not receiver(way, buffer):
        label = way.layer.netns.label
        why = f"what {label} does with IP protocol {protocol}: its receiver is not modelled"
        way.account.doubt(why)
        way.note(buffer, "ip_local_deliver_finish", Did.UNKNOWN, why)


def _tcp(way: Outgoing, buffer: Buffer) -> bool:
    packet = buffer.packet
    if packet.tcp is None:
        return False
    if packet.tcp.checksum_ok is False:
        way.drop(buffer, "tcp_v4_rcv", "its TCP checksum is wrong: dropped without an answer")
        return True
    if not buffer.single:
        way.drop(buffer, "tcp_v4_rcv", "it came in a frame for everybody: TCP takes none of those")
        return True
    if way.for_everybody(buffer):
        why = "it is for a broadcast address: TCP takes and answers none of those"
        way.drop(buffer, "tcp_v4_rcv", why)
        return True
    row = way.layer.routing.route_of(header_of(buffer).dst)
    if row is not None and row.kind == "anycast":
        why = f"{header_of(buffer).dst} is an anycast address: TCP neither listens there nor answers"
        way.drop(buffer, "tcp_v4_conn_request", why, _spans(row.span))
        return True
    found = way.layer.sockets.lookup(packet, buffer.device_in)
    if found.dropped:
        way.drop(buffer, found.function or "tcp_v4_rcv", found.reason, found.evidence)
    elif found.taken:
        way.note(buffer, "tcp_v4_rcv", Did.DELIVERED, found.reason, evidence=found.evidence)
        way.account.delivered.append(packet)
    else:
        answer = answers.reset(packet)
        if answer is None:
            way.note(buffer, "tcp_v4_rcv", Did.IGNORED, f"{found.reason}, and a RST is never answered")
        else:
            why = f"{found.reason}: answered with a RST"
            way.answer(buffer, "tcp_v4_send_reset", answer, why, None, found.evidence)
    return True


def _spans(span: Span) -> tuple[Span, ...]:
    return (span,) if span.file else ()


def _udp(way: Outgoing, buffer: Buffer) -> bool:
    packet = buffer.packet
    if packet.udp is None:
        return False
    found = way.layer.sockets.lookup(packet, buffer.device_in)
    if found.taken:
        way.note(buffer, "__udp4_lib_rcv", Did.DELIVERED, found.reason, evidence=found.evidence)
        way.account.delivered.append(packet)
    elif way.for_everybody(buffer):
        way.drop(buffer, "__udp4_lib_mcast_deliver", f"{found.reason}; a broadcast is never answered")
    else:
        way.complain(buffer, "__udp4_lib_rcv", Trouble.NO_PORT, found.reason, forgotten=True)
    return True


def _icmp(way: Outgoing, buffer: Buffer) -> bool:
    packet = buffer.packet
    icmp = packet.icmp
    if icmp is None:
        return False
    if icmp.target is not None and icmp.type in (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT):
        _discovery(way, buffer, icmp)
        return True
    reply = answers.echo_reply(packet)
    silent = way.layer.settings.value(
        "net.ipv4.icmp_echo_ignore_all" if version_of(buffer) == 4 else "net.ipv6.icmp.echo_ignore_all"  # noqa: PLR2004 - IPv4
    )
    if way.for_everybody(buffer):
        _broadcast_icmp(way, buffer)
    elif reply is not None and silent is not None and silent.value:
        way.drop(buffer, "icmp_echo", "pings are not answered (echo_ignore_all=1)", silent.evidence)
    elif reply is not None:
        way.answer(buffer, "icmp_echo", reply, "a ping is answered", None)
    else:
        kinds = KINDS[version_of(buffer)]
        if (icmp.type, icmp.code) == kinds[Trouble.TOO_BIG] and icmp.mtu is not None:
            _learn_mtu(way, buffer, icmp)
        elif icmp.type == kinds[Trouble.REDIRECT][0] and icmp.gateway is not None:
            _learn_gateway(way, buffer, icmp)
        way.note(buffer, "icmp_rcv", Did.DELIVERED, f"ICMP type {icmp.type}, for the stack itself")
        way.account.delivered.append(packet)
    return True


def _broadcast_icmp(way: Outgoing, buffer: Buffer) -> None:
    """``icmp_rcv``: of broadcasts it takes questions alone, and those only if it is told to."""
    told = way.layer.settings.value("net.ipv4.icmp_echo_ignore_broadcasts")
    if told is not None and not told.value:
        way.account.doubt(f"what {way.layer.netns.label} answers to a broadcast ping: it is not modelled")
    evidence = () if told is None else told.evidence
    way.drop(buffer, "icmp_rcv", "ICMP to a broadcast address is not answered", evidence)


def _discovery(way: Outgoing, buffer: Buffer, icmp: Icmp) -> None:
    """``ndisc_rcv``: a question is answered, an answer is heard."""
    packet, device = buffer.packet, way.layer.netns.device(buffer.device_in)
    ip = header_of(buffer)
    if device is None or (ip.ttl is not None and ip.ttl != ndisc.HOPS):
        way.drop(buffer, "ndisc_rcv", f"its hop limit {ip.ttl} says that a router passed it on")
    elif icmp.type == NEIGHBOUR_ADVERTISEMENT:
        way.note(buffer, "ndisc_rcv", Did.RECEIVED, f"{icmp.target} is at {icmp.target_link}")
        way.account.heard.append((device.name, packet))
    else:
        found = ndisc.answer(packet, device, way.layer.netns)
        if found.unknown:
            way.account.doubt(found.unknown)
        if found.reply is None:
            way.note(buffer, "ndisc_rcv", Did.IGNORED, found.reason, evidence=found.evidence)
            return
        way.account.note(
            device.name, "ndisc_rcv", Did.ANSWERED, packet, found.reason, after=found.reply,
            evidence=found.evidence,
        )  # fmt: skip
        way.link(device.name, found.reply)


def _learn_mtu(way: Outgoing, buffer: Buffer, icmp: Icmp) -> None:
    """A path takes no more than an error says (``ip_rt_update_pmtu``)."""
    inner = icmp.inner
    if inner is None or inner.ip is None or icmp.mtu is None:
        return
    source, target = inner.source, inner.destination
    known = source is None or target is None or way.layer.sockets.connected(source, target)
    if inner.icmp is None and not known:
        # Who did not send it learns nothing: the error is given to the socket (``tcp_v4_err``, ``udp_err``).
        return
    mtu = max(icmp.mtu, _LEAST[version_of(buffer)])
    way.layer.learned.mtu[inner.ip.dst] = mtu
    why = f"packets for {inner.ip.dst} are from now on at most {mtu} bytes long"
    way.note(buffer, "icmp_unreach", Did.CHANGED, why)


#: ``net.ipv4.route.min_pmtu`` as the kernel starts, and ``IPV6_MIN_MTU``.
_LEAST: Final = {4: 552, 6: LEAST_IPV6}


def _learn_gateway(way: Outgoing, buffer: Buffer, icmp: Icmp) -> None:
    """Another gateway is taken for one destination (``__ip_do_redirect``), unless this namespace routes."""
    inner, settings = icmp.inner, way.layer.settings
    version = version_of(buffer)
    if inner is None or inner.ip is None or icmp.gateway is None:
        return
    device = buffer.device_in
    allowed = settings.of_device("accept_redirects", device, version)
    forwards = settings.forwarding(device, version)
    router = forwards is not None and bool(forwards.value)
    whole = settings.value("net.ipv4.conf.all.accept_redirects")
    if router and version == 4 and whole is not None and not whole.value:  # noqa: PLR2004 - IPv4
        # On a router both have to say yes (``IN_DEV_RX_REDIRECTS``).
        allowed = whole
    if (router and version != 4) or (allowed is not None and not allowed.value):  # noqa: PLR2004 - IPv4
        evidence = () if allowed is None else allowed.evidence
        way.note(buffer, "icmp_redirect", Did.IGNORED, "redirects are not followed here", evidence=evidence)
        return
    if allowed is None:
        text = f"{way.layer.netns.label} follows redirects at {device} (accept_redirects=1)"
        name = f"sysctl net.ipv{version}.conf.{device}.accept_redirects"
        way.layer.oracle.assume(Assumption(text, command(way.layer.netns, name)))
    way.layer.learned.gateway[inner.ip.dst] = icmp.gateway
    why = f"packets for {inner.ip.dst} from now on go to {icmp.gateway} at {device}"
    way.note(buffer, "icmp_redirect", Did.CHANGED, why)


_RECEIVERS: Final[Mapping[int, Callable[[Outgoing, Buffer], bool]]] = {
    TCP: _tcp,
    UDP: _udp,
    ICMP: _icmp,
    ICMP6: _icmp,
}
