"""
Relative TCP numbers in tcpdump's text, made absolute again.

tcpdump without ``-S`` keeps a table of conversations. A packet with SYN, and the first packet with ACK of
a conversation that is not in the table yet, are printed with absolute numbers and become the base: the
sender counts from its sequence number, the other side from the acknowledgement less one. Later packets with
ACK are printed relative to that. Packets without ACK are always absolute (observed with tcpdump 4.99).

Read backwards, every number of a conversation whose base is in the text becomes absolute. With ``-S`` all
numbers are absolute; which of the two a number is, is told by which reading lies nearer to the base.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from bothways.facts.address import Endpoint
from bothways.facts.packet import Flag, Tcp

__all__ = ["Conversations"]

_Way = tuple[Endpoint, Endpoint]
_MODULUS: Final = 1 << 32
#: First numbers that are both below this belong to a text whose beginning is missing; they are not initial
#: numbers by chance.
_SURELY_RELATIVE: Final = 1 << 24


def _distance(number: int) -> int:
    """How far from zero, counting modulo 2**32 in the shorter direction."""
    number %= _MODULUS
    return min(number, _MODULUS - number)


@dataclass(slots=True)
class Conversations:
    """tcpdump's table, rebuilt from its output; one for each text."""

    _base: dict[_Way, int] = field(default_factory=dict)
    _initial: dict[_Way, int] = field(default_factory=dict)

    def settle(self, source: Endpoint, destination: Endpoint, tcp: Tcp) -> Tcp:
        """The same header with absolute numbers where they can be known, else marked relative."""
        way, back = (source, destination), (destination, source)
        if tcp.flags & Flag.SYN:
            return self._begin(way, back, tcp)
        if not tcp.flags & Flag.ACK:
            base = self._base.get(way, self._initial.get(way))
            return tcp if base is None or tcp.seq is None else replace(tcp, seq=_nearest(tcp.seq, base))
        first = way not in self._base and back not in self._base
        if first and max(tcp.seq or 0, tcp.ack or 0) >= _SURELY_RELATIVE:
            self._learn(way, back, tcp.seq, tcp.ack)
            return tcp
        return _marked(tcp, self._absolute(way, tcp.seq), self._absolute(back, tcp.ack))

    def _begin(self, way: _Way, back: _Way, tcp: Tcp) -> Tcp:
        if tcp.seq is None:
            # A conversation starts whose numbers the text leaves out: what was known before is void.
            for table in (self._base, self._initial):
                table.pop(way, None)
            self._base.pop(back, None)
            return tcp
        self._initial[way] = tcp.seq
        if tcp.flags & Flag.ACK:
            self._base[way] = tcp.seq
            if tcp.ack is not None:
                self._base[back] = (tcp.ack - 1) % _MODULUS
        elif self._base.get(way) not in {None, tcp.seq}:
            self._base.pop(way, None)
            self._base.pop(back, None)
        return tcp

    def _absolute(self, way: _Way, shown: int | None) -> int | None:
        """None if nothing is shown, or if what is shown cannot be placed."""
        if shown is None:
            return None
        base = self._base.get(way)
        if base is not None:
            return _nearest(shown, base)
        return None if shown < _SURELY_RELATIVE else shown

    def _learn(self, way: _Way, back: _Way, seq: int | None, ack: int | None) -> None:
        if ack is not None:
            self._base[back] = (ack - 1) % _MODULUS
        initial = self._initial.get(way)
        if seq is not None:
            self._base[way] = seq
        elif initial is not None and ack is not None:
            # The first packet after the SYN, whose own number tcpdump left out because it carries no data.
            self._base[way] = (initial + 1) % _MODULUS


def _nearest(shown: int, base: int) -> int:
    if _distance(shown) <= _distance(shown - base):
        return (base + shown) % _MODULUS
    return shown


def _marked(tcp: Tcp, seq: int | None, ack: int | None) -> Tcp:
    unplaced_seq = tcp.seq is not None and seq is None
    unplaced_ack = tcp.ack is not None and ack is None
    if not unplaced_seq and not unplaced_ack:
        return replace(tcp, seq=seq, ack=ack)
    if seq is None and ack is None:
        return replace(tcp, relative=True)
    return replace(tcp, seq=seq, ack=ack)
