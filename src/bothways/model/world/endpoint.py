"""
The two ends of a TCP connection, as far as a diagnosis needs them.

Rule 1: every reaction of an end is a row of ``REACTIONS``. Rule 2: this file knows segments, not
networks: what an end sends is handed back, where it goes is not its concern.

RFC 9293 section 3.10.7, without windows and options: an end here sends, answers, retransmits once,
and notices that it was reset. A retransmission is due one second after the first (RFC 6298 2.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bothways.facts.address import Endpoint
from bothways.facts.packet import ETH_IP, ETH_IP6, TCP, Ethernet, Flag, Ip, Packet, Tcp

__all__ = ["REACTIONS", "End", "EndState", "Heard", "Reaction", "heard"]


class EndState(StrEnum):
    """State of one end."""

    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    ESTABLISHED = "ESTABLISHED"
    CLOSED = "CLOSED"


class Heard(StrEnum):
    """What a segment is to an end."""

    SYN = "SYN"
    SYNACK = "SYN/ACK"
    ACK = "ACK"
    DATA = "data"
    RST = "RST"
    FIN = "FIN"


class Reaction(StrEnum):
    """What an end does."""

    IGNORE = "ignores it"
    ACK = "acknowledges it"
    SYNACK = "answers with SYN/ACK"
    OPEN = "takes the connection as open and acknowledges"
    OPENED = "takes the connection as open"
    DATA = "takes the data and acknowledges"
    REFUSED = "gives up: refused"
    RESET = "gives up: reset"


_S, _H, _R = EndState, Heard, Reaction

# fmt: off
REACTIONS: Final[Mapping[tuple[EndState, Heard], Reaction]] = {
    (_S.SYN_SENT,    _H.SYN):    _R.IGNORE,
    (_S.SYN_SENT,    _H.SYNACK): _R.OPEN,
    (_S.SYN_SENT,    _H.ACK):    _R.IGNORE,
    (_S.SYN_SENT,    _H.DATA):   _R.IGNORE,
    (_S.SYN_SENT,    _H.RST):    _R.REFUSED,
    (_S.SYN_SENT,    _H.FIN):    _R.IGNORE,

    (_S.SYN_RECV,    _H.SYN):    _R.SYNACK,
    (_S.SYN_RECV,    _H.SYNACK): _R.IGNORE,
    (_S.SYN_RECV,    _H.ACK):    _R.OPENED,
    (_S.SYN_RECV,    _H.DATA):   _R.DATA,
    (_S.SYN_RECV,    _H.RST):    _R.RESET,
    (_S.SYN_RECV,    _H.FIN):    _R.ACK,

    (_S.ESTABLISHED, _H.SYN):    _R.ACK,
    (_S.ESTABLISHED, _H.SYNACK): _R.ACK,
    (_S.ESTABLISHED, _H.ACK):    _R.IGNORE,
    (_S.ESTABLISHED, _H.DATA):   _R.DATA,
    (_S.ESTABLISHED, _H.RST):    _R.RESET,
    (_S.ESTABLISHED, _H.FIN):    _R.ACK,

    (_S.CLOSED,      _H.SYN):    _R.IGNORE,
    (_S.CLOSED,      _H.SYNACK): _R.IGNORE,
    (_S.CLOSED,      _H.ACK):    _R.IGNORE,
    (_S.CLOSED,      _H.DATA):   _R.IGNORE,
    (_S.CLOSED,      _H.RST):    _R.IGNORE,
    (_S.CLOSED,      _H.FIN):    _R.IGNORE,
}
# fmt: on


def heard(tcp: Tcp) -> Heard:
    """Classify a segment; RST outranks SYN outranks FIN."""
    if tcp.flags & Flag.RST:
        return Heard.RST
    if tcp.flags & Flag.SYN:
        return Heard.SYNACK if tcp.flags & Flag.ACK else Heard.SYN
    if tcp.flags & Flag.FIN:
        return Heard.FIN
    return Heard.DATA if tcp.length else Heard.ACK


@dataclass(slots=True)
class End:
    """
    One end of the connection. Sequence numbers are absolute.

    :param got_data: True once data of the peer was taken.
    :param acked: True once the peer acknowledged data of ours.
    :param told: the error by which the stack ended the attempt, None if it did not.
    """

    name: str
    local: Endpoint
    peer: Endpoint
    state: EndState
    seq: int
    ack: int = 0
    got_data: bool = False
    acked: bool = False
    data_end: int | None = None
    ended: Reaction | None = None
    told: str | None = None

    def react(self, tcp: Tcp) -> Reaction:
        """Take one segment and change state; the caller sends what the reaction asks for."""
        reaction = REACTIONS[self.state, heard(tcp)]
        if reaction in (Reaction.OPEN, Reaction.SYNACK):
            self.ack = ((tcp.seq or 0) + 1) & 0xFFFFFFFF
        if reaction is Reaction.OPEN and tcp.ack != self.seq:
            return Reaction.IGNORE
        if reaction in (Reaction.OPEN, Reaction.OPENED):
            self.state = EndState.ESTABLISHED
        elif reaction is Reaction.DATA:
            self.state = EndState.ESTABLISHED
            self.got_data = True
            self.ack = ((tcp.seq or 0) + (tcp.length or 0)) & 0xFFFFFFFF
        elif reaction in (Reaction.REFUSED, Reaction.RESET):
            self.state = EndState.CLOSED
            self.ended = reaction
        if self.data_end is not None and tcp.flags & Flag.ACK and tcp.ack == self.data_end:
            self.acked = True
        return reaction

    def segment(self, flags: Flag, length: int = 0) -> Packet:
        """Make the next segment and count what it takes of the sequence space."""
        tcp = Tcp(
            self.local.port or 0,
            self.peer.port or 0,
            flags,
            seq=self.seq,
            ack=self.ack if flags & Flag.ACK else 0,
            window=64240,
            length=length,
            checksum_ok=True,
        )
        taken = length + bool(flags & Flag.SYN) + bool(flags & Flag.FIN)
        self.seq = (self.seq + taken) & 0xFFFFFFFF
        if length:
            self.data_end = self.seq
        ipv4 = self.local.address.version == 4  # noqa: PLR2004
        ip = Ip(self.local.address, self.peer.address, TCP, ttl=64, df=True if ipv4 else None)
        kind, headers = (ETH_IP, 54) if ipv4 else (ETH_IP6, 74)
        return Packet(Ethernet(type=kind), ip=ip, tcp=tcp, length=headers + length)
