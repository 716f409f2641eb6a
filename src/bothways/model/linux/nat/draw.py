"""
The port that a connection gets where its own will not do.

``nf_nat_l4proto_unique_tuple`` and ``nf_nat_used_tuple_harder`` of ``net/netfilter/nf_nat_core.c``.
Destinations, and a range with a base, are tried in order. For sources the kernel draws where it begins: any
free port may be the one. A walk takes the first free and says so; whoever knows which one was taken
(:class:`Drawer`) is asked. A closing TCP connection makes room for a SYN with a higher number (since 6.5).

Of a range wider than 128 the kernel tries up to 248 ports in rounds that get shorter, so it may give up
where a port is left; this search does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from bothways.facts.choice import Assumption
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import TCP
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.tcp import TcpState
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.wanted import Wanted, with_part

__all__ = ["Draw", "Drawer", "drawn_tuple"]

#: ``NF_NAT_HARDER_THRESH``: the last so many tries of a round may end a closing connection.
_HARDER: Final = 32
_PORTS_BEFORE: Final = 0xFFFF
_SIGN: Final = 0x80000000
_WORD: Final = 0xFFFFFFFF
_CLOSING: Final = frozenset({TcpState.TIME_WAIT, TcpState.CLOSE, TcpState.SYN_SENT2})


@dataclass(frozen=True, slots=True)
class Draw:
    """
    A set of ports (ids for ICMP queries) of which any free one may be taken.

    :param wanted: the connection, and the side that is rewritten.
    :param candidate: what it looks like, but for that port.
    :param low: first port; *high*: last one, both in the set.
    """

    wanted: Wanted
    candidate: Tuple
    low: int
    high: int

    def with_port(self, port: int) -> Tuple:
        """The tuple with a port."""
        return with_part(self.candidate, self.wanted.side, port=port)

    def free(self, port: int) -> bool:
        """Whether a port may be taken."""
        one = self.with_port(port)
        return self.low <= port <= self.high and (
            not self.wanted.taken(one) or _gives_way(self.wanted, one) is not None
        )

    def may_be(self, port: int) -> bool:
        """Whether the kernel may end with a port: a free one, or the last it tried where none is free."""
        if self.free(port):
            return True
        return self.low <= port <= self.high and not any(map(self.free, range(self.low, self.high + 1)))

    def __str__(self) -> str:
        what = self.wanted.part
        return (
            f"the {self.wanted.side.word} {what} of {self.wanted.connection} behind {self.wanted.table.label}"
        )


@runtime_checkable
class Drawer(Protocol):
    """An oracle that knows which port was drawn."""

    def draw(self, draw: Draw) -> int | None:
        """Return the port that was taken, None if it is not known."""


def drawn_tuple(
    wanted: Wanted, candidate: Tuple, bounds: tuple[int, int], *, base: int | None, drawn: bool
) -> tuple[Tuple, str]:
    """
    Find a port that no other connection has.

    :param base: of a shifted range: the port that becomes the first one.
    :param drawn: ``--random`` or ``--random-fully``.
    :return: the tuple, and a sentence about how it was chosen where that was not plain.
    """
    low, high = bounds
    draw = Draw(wanted, candidate, low, high)
    if base is not None or (not wanted.sends and not drawn):
        start = 0 if base is None else (wanted.port(candidate) - base) & _PORTS_BEFORE
        return _in_order(draw, start)
    return _drawn(draw)


def _in_order(draw: Draw, start: int) -> tuple[Tuple, str]:
    size = draw.high - draw.low + 1
    one = draw.candidate
    for tried in range(size):
        # The offset has 16 bits: it wraps before the range does.
        one = draw.with_port(draw.low + ((start + tried) & _PORTS_BEFORE) % size)
        if not draw.wanted.taken(one) or (size - tried <= _HARDER and _evicted(draw.wanted, one)):
            return one, ""
    return one, _none_left(draw)


def _drawn(draw: Draw) -> tuple[Tuple, str]:
    wanted, low, high = draw.wanted, draw.low, draw.high
    known = wanted.oracle.draw(draw) if isinstance(wanted.oracle, Drawer) else None
    port = known if known is not None else next(_candidates(draw), None)
    if port is None:
        return draw.with_port(high), _none_left(draw)
    one = draw.with_port(port)
    if wanted.taken(one) and not _evicted(wanted, one):
        return one, _none_left(draw)
    if low == high:
        return one, ""
    if known is None:
        wanted.oracle.assume(Assumption(f"{draw} may be any free one of {low}-{high}; the walk takes {port}"))
    return one, f"the {wanted.part} is drawn from {low}-{high}"


def _candidates(draw: Draw) -> Iterator[int]:
    """Free ports, lowest first; then those that a closing connection would give away."""
    ports = range(draw.low, draw.high + 1)
    yield from (port for port in ports if not draw.wanted.taken(draw.with_port(port)))
    yield from (port for port in ports if _gives_way(draw.wanted, draw.with_port(port)) is not None)


def _none_left(draw: Draw) -> str:
    return f"every {draw.wanted.part} of {draw.low}-{draw.high} is taken"


def _gives_way(wanted: Wanted, one: Tuple) -> TrackedConnection | None:
    """The closing connection that holds a port and would make room for it (``nf_nat_may_kill``)."""
    new = wanted.connection.tcp
    if one.protocol != TCP or new is None or new.state is not TcpState.SYN_SENT:
        return None
    held = wanted.table.answered_by(inverse(one), wanted.connection)
    old = None if held is None else held.tcp
    if held is None or old is None or old.state not in _CLOSING or "SRC_NAT" not in held.status:
        return None
    if old.lost or new.lost:
        return None  # windows that nobody saw: left as it is
    ahead = (new.original.end - old.original.end) & _WORD
    return held if 0 < ahead < _SIGN else None


def _evicted(wanted: Wanted, one: Tuple) -> bool:
    held = _gives_way(wanted, one)
    if held is None:
        return False
    wanted.table.kill(held)
    return True
