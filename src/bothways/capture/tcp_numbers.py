"""
Relative TCP numbers in tcpdump's text, made absolute again.

tcpdump without ``-S`` keeps a table of conversations. A packet with SYN and ACK, and the first with ACK
of a conversation that is not in the table yet, are printed with absolute numbers and become the base: the
sender counts from its sequence number, the other side from the acknowledgement less one. Later packets with
ACK are printed relative to that. Packets without ACK are always absolute and change nothing: where the same
ports are used again and no SYN/ACK passes this tap, numbers go on counting from the conversation before
(observed with tcpdump 4.99).

Read backwards, every number of a conversation whose base is in the text becomes absolute. With ``-S`` all
numbers are absolute; which of the two a number is, is told by which reading lies nearer to the base. The
first number that leaves no doubt settles it for the rest of its conversation, which may run round all 2**32.
While both are far off, a number stays unknown.
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
#: A number this near to what one reading expects and this far from what the other does leaves no doubt.
_NEAR: Final = 1 << 20
_FAR: Final = 1 << 26


def _distance(number: int) -> int:
    """How far from zero, counting modulo 2**32 in the shorter direction."""
    number %= _MODULUS
    return min(number, _MODULUS - number)


@dataclass(slots=True)
class Conversations:
    """tcpdump's table, rebuilt from its output; one for each run of tcpdump."""

    _base: dict[_Way, int] = field(default_factory=dict)
    _initial: dict[_Way, int] = field(default_factory=dict)
    _is_absolute: dict[frozenset[Endpoint], bool] = field(default_factory=dict)

    def settle(self, source: Endpoint, destination: Endpoint, tcp: Tcp) -> Tcp:
        """The same header with absolute numbers where they can be known, else marked relative."""
        way, back = (source, destination), (destination, source)
        if tcp.flags & Flag.SYN:
            return self._begin(way, back, tcp)
        if not tcp.flags & Flag.ACK:
            return tcp
        first = way not in self._base and back not in self._base
        if first and max(tcp.seq or 0, tcp.ack or 0) >= _SURELY_RELATIVE:
            self._learn(way, back, tcp.seq, tcp.ack)
            return tcp
        return _marked(
            self._acknowledged(back, tcp), self._absolute(way, tcp.seq), self._absolute(back, tcp.ack)
        )

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
        return tcp

    def _acknowledged(self, back: _Way, tcp: Tcp) -> Tcp:
        """Selective acknowledgements count like *ack*; those that cannot be placed are left out."""
        if not tcp.options.sack:
            return tcp
        edges = [
            (self._absolute(back, left), self._absolute(back, right)) for left, right in tcp.options.sack
        ]
        placed = tuple((left, right) for left, right in edges if left is not None and right is not None)
        return replace(tcp, options=replace(tcp.options, sack=placed))

    def _absolute(self, way: _Way, shown: int | None) -> int | None:
        """None if nothing is shown, or if what is shown cannot be placed."""
        if shown is None:
            return None
        base = self._base.get(way)
        if base is not None:
            return self._nearest(way, shown, base)
        return None if shown < _SURELY_RELATIVE else shown

    def _nearest(self, way: _Way, shown: int, base: int) -> int | None:
        pair = frozenset(way)
        absolute = self._is_absolute.get(pair)
        if absolute is None:
            # What comes next after a SYN: 1 if it is shown relative, else one more than the SYN's number.
            as_relative, as_absolute = _distance(shown - 1), _distance(shown - base - 1)
            absolute = as_absolute < as_relative
            nearer, farther = sorted((as_relative, as_absolute))
            if nearer == 0 < farther or (nearer < _NEAR and farther > _FAR):
                self._is_absolute[pair] = absolute
            elif nearer > _FAR:
                return None
        return shown if absolute else (base + shown) % _MODULUS

    def _learn(self, way: _Way, back: _Way, seq: int | None, ack: int | None) -> None:
        if ack is not None:
            self._base[back] = (ack - 1) % _MODULUS
        initial = self._initial.get(way)
        if seq is not None:
            self._base[way] = seq
        elif initial is not None and ack is not None:
            # The first packet after the SYN, whose own number tcpdump left out because it carries no data.
            self._base[way] = (initial + 1) % _MODULUS


def _marked(tcp: Tcp, seq: int | None, ack: int | None) -> Tcp:
    unplaced_seq = tcp.seq is not None and seq is None
    unplaced_ack = tcp.ack is not None and ack is None
    if not unplaced_seq and not unplaced_ack:
        return replace(tcp, seq=seq, ack=ack)
    if seq is None and ack is None:
        return replace(tcp, relative=True)
    return replace(tcp, seq=seq, ack=ack)
