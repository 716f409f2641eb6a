"""
Sockets of one namespace: who listens, who is connected.

``__inet_lookup`` of ``net/ipv4/inet_hashtables.c``: a connection first, then a listener, the exact address
before any. Listeners are those of ``ss``; connections are those of the walk and those of ``ss``. Where
``ss`` was not collected, a SYN finds a socket or does not: both are walked.
"""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import Endpoint
from bothways.facts.choice import Assumption, Freedom, Oracle
from bothways.facts.packet import Flag, Packet, Tcp
from bothways.facts.snapshot import Netns
from bothways.facts.socket import Socket
from bothways.facts.span import Span
from bothways.model.linux.settings import command

__all__ = ["Found", "Sockets"]


@dataclass(frozen=True, slots=True)
class Found:
    """Whether a socket takes a packet, and how that is known."""

    taken: bool
    reason: str
    evidence: tuple[Span, ...] = ()


class Sockets:
    """The sockets of one namespace in one walk."""

    def __init__(self, netns: Netns, oracle: Oracle) -> None:
        self._netns = netns
        self._oracle = oracle
        self._connected: set[tuple[Endpoint, Endpoint]] = set()

    def connect(self, local: Endpoint, peer: Endpoint) -> None:
        """Register one end of a connection."""
        self._connected.add((local, peer))

    def close(self, local: Endpoint, peer: Endpoint) -> None:
        """Forget one end of a connection."""
        self._connected.discard((local, peer))

    def lookup(self, packet: Packet, device: str) -> Found:
        """
        Find the socket of a TCP or UDP packet for this namespace.

        A SYN that a listener takes opens a request: what follows belongs to it.
        """
        local, peer = packet.destination, packet.source
        if local is None or peer is None or local.port is None:
            return Found(taken=False, reason="the packet names no port")
        if (local, peer) in self._connected:
            return Found(taken=True, reason=f"the connection with {peer} takes it")
        if packet.tcp is None:
            return self._datagram(local, device)
        if _opens(packet.tcp):
            found = self._listener(local, device)
            if found.taken:
                self.connect(local, peer)
            return found
        return self._connection(local, peer)

    def _connection(self, local: Endpoint, peer: Endpoint) -> Found:
        label = self._netns.label
        for row in self._rows("tcp"):
            if row.peer == peer and _holds(row, local) and row.state not in ("LISTEN", "UNCONN"):
                return Found(taken=True, reason=f"the connection with {peer} takes it", evidence=(row.span,))
        if self._netns.sockets is None or not self._netns.sockets.whole:
            text = f"no socket of {label} is connected with {peer} from {local}"
            self._oracle.assume(Assumption(text, command(self._netns, "ss -tan")))
        return Found(taken=False, reason=f"no socket of {label} knows a connection {peer} > {local}")

    def _listener(self, local: Endpoint, device: str) -> Found:
        fitting = [r for r in self._rows("tcp") if r.state == "LISTEN" and _listens(r, local, device)]
        return self._best(fitting, local, "ss -tlnp", known=self._netns.sockets is not None)

    def _datagram(self, local: Endpoint, device: str) -> Found:
        rows = self._rows("udp")
        # `ss -t` holds no row of UDP; that there is none proves nothing then.
        fitting = [r for r in rows if r.peer is None and _listens(r, local, device)]
        return self._best(fitting, local, "ss -ulnp", known=bool(rows))

    def _best(self, fitting: list[Socket], local: Endpoint, shows: str, *, known: bool) -> Found:
        label, sockets = self._netns.label, self._netns.sockets
        if fitting:
            row = max(fitting, key=lambda r: (r.local is not None, r.device is not None))
            by = f" ({row.process})" if row.process else ""
            return Found(taken=True, reason=f"a socket listens on {local}{by}", evidence=(row.span,))
        if known and sockets is not None and sockets.whole:
            return Found(taken=False, reason=f"no socket of {label} listens on {local}")
        yes, no = f"a socket of {label} listens on {local}", f"no socket of {label} listens on {local}"
        key = f"listener of {label} on {local}"
        taken = self._oracle.choose(key, [yes, no], freedom=Freedom.UNKNOWN)
        why = f"{taken} (`{command(self._netns, shows)}` was not collected, or not in whole)"
        return Found(taken=taken == yes, reason=why)

    def _rows(self, protocol: str) -> list[Socket]:
        return [row for row in self._netns.sockets or () if row.protocol == protocol]


def _opens(tcp: Tcp) -> bool:
    return tcp.flags & (Flag.SYN | Flag.ACK | Flag.RST) == Flag.SYN


def _holds(row: Socket, local: Endpoint) -> bool:
    return row.local == local or (row.local is None and row.local_port == local.port)


def _listens(row: Socket, local: Endpoint, device: str) -> bool:
    port = row.local_port if row.local is None else row.local.port
    return (
        port == local.port
        and (row.local is None or row.local.address == local.address)
        and row.family in (None, local.address.version)
        and row.device in (None, device)
    )
