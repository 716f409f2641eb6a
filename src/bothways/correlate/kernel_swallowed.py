"""
SYNs that a listener took and did not answer: no event tells of them, their end does.

``tcp_conn_request`` leaves without a word where the accept queue is full, and the SYN is freed as one that
did its work. One that was answered has its SYN/ACK made before it is freed, on the same processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bothways.correlate.kernel_watch import Watch
from bothways.facts.kernel_account import Deed, DeedKind, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent, function_name
from bothways.facts.packet import Flag, Packet

__all__ = ["swallowed"]

_FUNCTION: Final = "tcp_conn_request"
#: Where a listener's SYN is freed: ``tcp_rcv_state_process`` in ``net/ipv4/tcp_input.c`` and its callers.
_FREES: Final = frozenset(
    {"tcp_rcv_state_process", "tcp_v4_do_rcv", "tcp_v6_do_rcv", "tcp_v4_rcv", "tcp_v6_rcv"}
)


#: What has to be told so that a missing answer means something.
_NEEDED: Final = (Happening.XMIT, Happening.RECEIVE)


def swallowed(packets: Sequence[TracedPacket], watches: Mapping[str, Watch]) -> Iterator[Deed]:
    """Yield a deed for each SYN that ended at a listener without a SYN/ACK, a RST or anything else."""
    made = [
        (packet.first, headers.packet)
        for packet in packets
        if (headers := packet.headers) is not None and headers.packet.tcp is not None
    ]
    for packet in packets:
        end = packet.events[-1].event
        headers = packet.headers
        if headers is None or not _is_syn(headers.packet) or not _taken(end):
            continue
        if not watches.get(end.host, Watch()).shows(*_NEEDED, elsewhere=False):
            continue
        arrived = _arrival(packet, end)
        if arrived is not None and not any(_answers(first, other, arrived, end) for first, other in made):
            yield Deed(DeedKind.DROP, end, packet.number, _FUNCTION, inferred=True)


def _is_syn(packet: Packet) -> bool:
    return packet.tcp is not None and packet.tcp.flags & (Flag.SYN | Flag.ACK | Flag.RST) == Flag.SYN


def _taken(event: KernelEvent) -> bool:
    where = None if event.location is None else function_name(event.location)
    return event.happening is Happening.CONSUME and where in _FREES


def _arrival(packet: TracedPacket, end: KernelEvent) -> KernelEvent | None:
    """The last event that shows the packet come in at the namespace where it ended."""
    found = None
    for timed in packet.events:
        event = timed.event
        if event.happening is Happening.RECEIVE and (event.host, event.netns) == (end.host, end.netns):
            found = event
    return found


def _answers(first: KernelEvent, packet: Packet, arrived: KernelEvent, end: KernelEvent) -> bool:
    """Whether a packet was made between two events of a SYN, for the port that it came from."""
    syn = None if arrived.packet is None else arrived.packet.carried.packet
    if syn is None or first.host != end.host or not arrived.time_ns <= first.time_ns <= end.time_ns:
        return False
    return (packet.source, packet.destination) == (syn.destination, syn.source)
