"""
Sockets of one namespace: who listens, who is connected.

``__inet_lookup`` of ``net/ipv4/inet_hashtables.c``: a connection first, then a listener, the exact address
before any. A listener whose queue is full lets a SYN fall (``tcp_conn_request``). Listeners are those of
``ss``; connections are those of the walk and those of ``ss``. Where ``ss`` was not collected, a SYN finds a
socket or does not: both are walked.
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
from bothways.model.linux.vxlan import listens

__all__ = ["Found", "Sockets"]


@dataclass(frozen=True, slots=True)
class Found:
    """
    Whether a socket takes a packet, and how that is known.

    :param dropped: True if a socket was found that lets the packet fall without an answer.
    :param function: of the kernel, where it is not the protocol's receiver that decides.
    """

    taken: bool
    reason: str
    evidence: tuple[Span, ...] = ()
    dropped: bool = False
    function: str = ""


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

    def connected(self, local: Endpoint, peer: Endpoint) -> bool:
        """True if a socket of the walk or of the dump is one end of a connection."""
        if (local, peer) in self._connected:
            return True
        return any(row.peer == peer and _holds(row, local) for row in self._netns.sockets or ())

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
            return self._datagram(local, peer, device)
        if _opens(packet.tcp):
            found = self._listener(local, peer, device, packet.tcp)
            if found.taken:
                self.connect(local, peer)
            return found
        return self._connection(local, peer, device, packet.tcp)

    def _connection(self, local: Endpoint, peer: Endpoint, device: str, tcp: Tcp) -> Found:
        label = self._netns.label
        for row in self._rows("tcp"):
            if row.peer == peer and _holds(row, local) and row.state not in ("LISTEN", "UNCONN"):
                name = "an old connection in TIME-WAIT" if row.state == "TIME-WAIT" else "the connection"
                return Found(taken=True, reason=f"{name} with {peer} takes it", evidence=(row.span,))
        if not tcp.flags & (Flag.ACK | Flag.RST):
            listening = self._best(self._fitting("tcp", local, device))
            if listening is not None:
                why = f"a socket listens on {local}, and the segment neither opens nor answers: no RST"
                function = "tcp_rcv_state_process"
                return Found(
                    taken=False, reason=why, evidence=(listening.span,), dropped=True, function=function
                )
        if self._netns.sockets is None or not self._netns.sockets.whole:
            text = f"no socket of {label} is connected with {peer} from {local}"
            self._oracle.assume(Assumption(text, command(self._netns, "ss -tan")))
        return Found(taken=False, reason=f"no socket of {label} knows a connection {peer} > {local}")

    def _listener(self, local: Endpoint, peer: Endpoint, device: str, tcp: Tcp) -> Found:
        row = self._best(self._fitting("tcp", local, device))
        if row is None:
            return self._none(local, "ss -tlnp", known=self._netns.sockets is not None)
        if tcp.flags & Flag.FIN:
            why = f"a socket listens on {local}, and a SYN with FIN opens nothing"
            return Found(taken=False, reason=why, evidence=(row.span,), dropped=True)
        full = self._full(row, local)
        if full is not None:
            return full
        old = next((r for r in self._rows("tcp") if r.peer == peer and _holds(r, local)), None)
        if old is not None and old.state == "TIME-WAIT":
            text = f"the SYN of {peer} has a higher number than its old connection, which is in TIME-WAIT"
            self._oracle.assume(Assumption(text))
        return _listening(row, local)

    def _full(self, row: Socket, local: Endpoint) -> Found | None:
        """
        Why a listener takes no SYN, None if it does (``tcp_conn_request``).

        ``ss`` shows in Recv-Q how many connections wait to be accepted, and in Send-Q how many may.
        """
        waiting, limit = row.recv_queue, row.send_queue
        if waiting is None or limit is None:
            return None
        if waiting > limit:
            why = f"the accept queue of {local} is full ({waiting} wait, {limit} may): the SYN is dropped"
            return Found(
                taken=False, reason=why, evidence=(row.span,), dropped=True, function="tcp_v4_conn_request"
            )
        half = [r for r in self._rows("tcp") if r.state == "SYN-RECV" and _holds(r, local)]
        cookies = self._netns.sysctl("net.ipv4.tcp_syncookies")
        if len(half) >= limit > 0 and cookies is not None and cookies.value.strip() == "0":
            why = f"{len(half)} connections to {local} are half open, no more may be, and cookies are off"
            return Found(
                taken=False,
                reason=f"{why}: the SYN is dropped",
                evidence=(row.span, cookies.span),
                dropped=True,
                function="tcp_v4_conn_request",
            )
        return None

    def _datagram(self, local: Endpoint, peer: Endpoint, device: str) -> Found:
        rows = self._rows("udp")
        joined = next((r for r in rows if r.peer == peer and _holds(r, local)), None)
        if joined is not None:
            return Found(taken=True, reason=f"the socket with {peer} takes it", evidence=(joined.span,))
        tunnel = listens(self._netns.devices or (), local.port, local.address.version)
        if tunnel is not None:
            why = f"the VXLAN device {tunnel.name} takes it"
            return Found(taken=True, reason=why, evidence=(tunnel.span,))
        # `ss -t` holds no row of UDP; that there is none proves nothing then.
        row = self._best(self._fitting("udp", local, device))
        return self._none(local, "ss -ulnp", known=bool(rows)) if row is None else _listening(row, local)

    def _fitting(self, protocol: str, local: Endpoint, device: str) -> list[Socket]:
        """Sockets that would take what is sent to *local*, of TCP those that listen."""
        return [
            row
            for row in self._rows(protocol)
            if (row.state == "LISTEN" if protocol == "tcp" else row.peer is None)
            and _listens(row, local, device)
        ]

    def _best(self, fitting: list[Socket]) -> Socket | None:
        """
        The socket that the kernel prefers (``compute_score``): by address, by device, of the family alone.

        Of several that are equal (SO_REUSEPORT) a hash takes one. Where one of them is full, it matters
        which.
        """
        if not fitting:
            return None
        score = max(_score(row) for row in fitting)
        equal = [row for row in fitting if _score(row) == score]
        if len({_is_full(row) for row in equal}) == 1:
            return equal[0]
        options = {f"the socket of line {row.span.line} takes it ({row.process})": row for row in equal}
        key = f"listener of {self._netns.label} on port {equal[0].local_port} among {len(equal)}"
        spans = tuple(row.span for row in equal)
        return options[self._oracle.choose(key, list(options), freedom=Freedom.FREE, evidence=spans)]

    def _none(self, local: Endpoint, shows: str, *, known: bool) -> Found:
        label, sockets = self._netns.label, self._netns.sockets
        if known and sockets is not None and sockets.whole:
            return Found(taken=False, reason=f"no socket of {label} listens on {local}")
        yes, no = f"a socket of {label} listens on {local}", f"no socket of {label} listens on {local}"
        key = f"listener of {label} on {local}"
        taken = self._oracle.choose(key, [yes, no], freedom=Freedom.UNKNOWN)
        why = f"{taken} (`{command(self._netns, shows)}` was not collected, or not in whole)"
        return Found(taken=taken == yes, reason=why)

    def _rows(self, protocol: str) -> list[Socket]:
        return [row for row in self._netns.sockets or () if row.protocol == protocol]


def _listening(row: Socket, local: Endpoint) -> Found:
    by = f" ({row.process})" if row.process else ""
    return Found(taken=True, reason=f"a socket listens on {local}{by}", evidence=(row.span,))


def _score(row: Socket) -> tuple[bool, bool, bool]:
    return row.local is not None, row.device is not None, row.family is not None


def _is_full(row: Socket) -> bool:
    return row.recv_queue is not None and row.send_queue is not None and row.recv_queue > row.send_queue


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
