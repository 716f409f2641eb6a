"""
What kernels told of one connection (``trace/*.jsonl``): who answered or dropped its packets, and why.

A kernel event is an observation of this very packet. It names the function and outranks what is inferred from
captures or predicted from dumps. What a tier does not see is not concluded: without a verdict of the tracker
no packet is called INVALID.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.correlate.kernel_account import account
from bothways.facts.address import Endpoint
from bothways.facts.diagnosis import Author, Basis, Evidence, Link
from bothways.facts.kernel_account import Deed, DeedKind, KernelAccount, Parting, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent, KernelPacket, function_name
from bothways.facts.kernel_trace import KernelTrace
from bothways.facts.packet import Packet
from bothways.facts.question import Question
from bothways.facts.span import Span
from bothways.facts.trajectory import Connection

__all__ = ["Testimony", "hear"]

_LOCAL: Final = frozenset(
    {
        "ip_local_deliver",
        "ip_local_deliver_finish",
        "ip_protocol_deliver_rcu",
        "ip6_input",
        "ip6_input_finish",
        "ip6_protocol_deliver_rcu",
    }
)
_INVALID: Final = "INVALID"
_DID: Final = {
    DeedKind.RST: "sent the RST",
    DeedKind.ICMP: "sent an ICMP error",
    DeedKind.DROP: "dropped the packet",
}
#: What follows from what did not happen, by the function in which it does.
_INFERRED: Final = {
    "tcp_conn_request": "a listener at {} took the SYN and did not answer it, as with a full accept queue",
    "do_execute_actions": "Open vSwitch's datapath at {} took the packet and sent it nowhere",
}


@dataclass(frozen=True, slots=True)
class Testimony:
    """
    What kernels told of one connection.

    :param packets: those of the connection, and errors about it.
    :param deeds: what ended or answered them, without what is no loss.
    :param partings: of its packets.
    """

    account: KernelAccount
    packets: tuple[TracedPacket, ...]
    deeds: tuple[Deed, ...]
    partings: tuple[Parting, ...]

    def authors(self) -> tuple[Author, ...]:
        """Who did it, each once; stations that were not traced are nobody's author."""
        found: dict[tuple[str | None, ...], Author] = {}
        for deed in self.deeds:
            if not deed.foreign:
                event = deed.event
                key = (str(deed.kind), event.host, event.netns, deed.function)
                frame = Evidence(event.span)
                found.setdefault(
                    key,
                    Author(
                        str(deed.kind), frame, event.host, event.netns, event.device, deed.function, "trace"
                    ),
                )
        return tuple(found.values())

    def reset_in(self, host: str, netns: str | None) -> Deed | None:
        """The RST that a namespace sent."""
        return next(
            (
                deed
                for deed in self.deeds
                if deed.kind is DeedKind.RST
                and not deed.foreign
                and (deed.event.host, deed.event.netns) == (host, netns)
            ),
            None,
        )

    def translated_in(self, host: str, netns: str) -> tuple[Span, ...]:
        """Events in which a packet's destination or source was another one than before, first packet only."""
        for packet in self.packets:
            spans = [e.span for e in _inside(packet, host, netns) if e.before is not None and _changed(e)]
            if spans:
                return (spans[0],)
        return ()

    def refused_in(self, host: str, netns: str) -> TracedPacket | None:
        """The packet that a namespace answered with a RST."""
        deed = self.reset_in(host, netns)
        if deed is None or deed.provoked_by is None:
            return None
        return self.account.packet(deed.provoked_by.number)

    def invalid_in(self, host: str, netns: str) -> tuple[Span, ...]:
        """Events in which the tracker took the refused packet as INVALID; none in tiers that cannot tell."""
        refused = self.refused_in(host, netns)
        if refused is None:
            return ()
        return tuple(
            event.span
            for event in _inside(refused, host, netns)
            if event.conntrack is not None and event.conntrack.info == _INVALID
        )

    def untranslated_in(self, host: str, netns: str) -> tuple[Span, ...]:
        """The last event of the refused packet, if its addresses are still those with which it came in."""
        refused = self.refused_in(host, netns)
        inside = [] if refused is None else _inside(refused, host, netns)
        shown = [event for event in inside if event.packet is not None]
        ends = {_ends(event.packet) for event in shown if event.packet is not None}
        return (shown[-1].span,) if len(shown) > 1 and len(ends) == 1 else ()

    def delivered_in(self, host: str, netns: str) -> tuple[Span, ...]:
        """Events of the refused packet that show it taken for the namespace itself, by a probe or a stack."""
        refused = self.refused_in(host, netns)
        inside = [] if refused is None else _inside(refused, host, netns)
        found = [
            event
            for event in inside
            if event.happening is Happening.LOCAL_DELIVER
            or event.function in _LOCAL
            or any(function_name(frame) in _LOCAL for frame in event.stack or ())
        ]
        return (found[0].span,) if found else ()

    def links(self) -> Iterator[Link]:
        """What kernels told, as links of a chain: deeds, and where packets parted."""
        for deed in self.deeds:
            yield Link(_claim(deed), Basis.OBSERVED, (Evidence(deed.event.span),))
        for parting in self.partings:
            yield Link(
                _parted(parting),
                Basis.OBSERVED,
                (Evidence(parting.went_to.span), Evidence(parting.ended_at.span)),
            )


def hear(
    traces: Sequence[KernelTrace], question: Question, connection: Connection | None
) -> Testimony | None:
    """
    Find what kernels told of a connection; None if they told nothing.

    :param connection: as captures show it, None if they do not; its names beyond translations count as well.
    """
    if not traces:
        return None
    told = account(traces)
    clients, servers = _names(question, connection)
    numbers = {packet.number for packet in told.packets if _concerns(packet, clients, servers, question)}
    numbers |= {
        packet.number
        for packet in told.packets
        if packet.provoked_by is not None and packet.provoked_by.number in numbers
    }
    if not numbers:
        return None
    deeds = tuple(deed for deed in told.deeds if not deed.aside and _about(deed, numbers))
    return Testimony(
        told,
        tuple(packet for packet in told.packets if packet.number in numbers),
        deeds,
        tuple(parting for parting in told.partings if parting.ended in numbers),
    )


def _names(
    question: Question, connection: Connection | None
) -> tuple[frozenset[Endpoint], frozenset[Endpoint]]:
    clients = {Endpoint(question.source, question.source_port)}
    servers = {Endpoint(question.destination, question.destination_port)}
    if connection is not None:
        clients |= {connection.client, *connection.client_names}
        servers |= {connection.server, *connection.server_names}
    return frozenset(clients), frozenset(servers)


def _concerns(
    packet: TracedPacket, clients: frozenset[Endpoint], servers: frozenset[Endpoint], question: Question
) -> bool:
    """True if a packet bears the connection's addresses in any form in which it was seen, or quotes them."""
    for timed in packet.events:
        for form in (timed.event.packet, timed.event.before):
            if form is None:
                continue
            headers = form.carried.packet
            if _between(headers, clients, servers, question):
                return True
            inner = None if headers.icmp is None else headers.icmp.inner
            if inner is not None and _between(inner, clients, servers, question):
                return True
        entry = timed.event.conntrack
        if entry is not None and entry.original is not None:
            ends = entry.original.source, entry.original.destination
            if _match(ends[0], clients) and _match(ends[1], servers):
                return True
    return False


def _between(
    headers: Packet, clients: frozenset[Endpoint], servers: frozenset[Endpoint], question: Question
) -> bool:
    source, destination = headers.source, headers.destination
    if source is None or destination is None or not _speaks(headers, question.protocol):
        return False
    forth = _match(source, clients) and _match(destination, servers)
    return forth or (_match(source, servers) and _match(destination, clients))


def _speaks(headers: Packet, protocol: str) -> bool:
    wanted = {"tcp": headers.tcp, "udp": headers.udp, "icmp": headers.icmp}
    return wanted.get(protocol, headers.ip) is not None


def _match(end: Endpoint, names: frozenset[Endpoint]) -> bool:
    return end in names or Endpoint(end.address) in names


def _about(deed: Deed, numbers: set[int]) -> bool:
    if deed.packet is not None and deed.packet in numbers:
        return True
    return deed.provoked_by is not None and deed.provoked_by.number in numbers


def _inside(packet: TracedPacket, host: str, netns: str | None) -> list[KernelEvent]:
    return [t.event for t in packet.events if (t.event.host, t.event.netns) == (host, netns)]


def _ends(packet: KernelPacket) -> tuple[Endpoint | None, Endpoint | None]:
    headers = packet.carried.packet
    return headers.source, headers.destination


def _changed(event: KernelEvent) -> bool:
    if event.before is None or event.packet is None:
        return False
    return _ends(event.before) != _ends(event.packet)


def _claim(deed: Deed) -> str:
    event = deed.event
    why = "" if event.reason is None else f": {event.reason}"
    if deed.foreign:
        what = "a RST" if deed.kind is DeedKind.RST else "an ICMP error"
        return f"{what} came in at {event.place} from a station that was not traced"
    if deed.inferred:
        return _INFERRED.get(deed.function or "", "a packet ended at {}").format(event.place)
    function = "" if deed.function is None else f" in {deed.function}"
    if deed.unsent:
        what = "a RST" if deed.kind is DeedKind.RST else "an ICMP error"
        return f"the kernel of {event.place} made {what}{function}{why}, and its transmission was not seen"
    answered = "" if deed.provoked_by is None else ", in answer to a packet of this connection"
    return f"the kernel of {event.place} {_DID[deed.kind]}{function}{answered}{why}"


def _parted(parting: Parting) -> str:
    went, ended = _way(parting.went_functions), _way(parting.ended_functions)
    alike = f"at {parting.at.place} another packet of the same direction"
    text = f"{alike} went on{went}, this one did not{ended}"
    return f"{text}; the first was translated, this one was not" if parting.translated else text


def _way(functions: tuple[str, ...]) -> str:
    return f" ({functions[0]})" if functions else ""
