"""What one frame holds, and why a frame is refused."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.packet import Packet, Tunnel
from bothways.facts.span import Kind

__all__ = ["Layers", "Refused"]


@dataclass(frozen=True, slots=True)
class Layers:
    """
    One decoded frame.

    :param packet: the innermost packet that is followed.
    :param body: captured bytes after its IP header (or of the whole ARP message), as long as the IP header
        says; shorter if the capture cut the frame.
    :param body_length: how many bytes *body* has on the wire.
    :param extensions: tcpdump's words for IPv6 extension headers, in order.
    :param tunnel: what the tunnel header said; *outer* is then the packet that carried it.
    """

    packet: Packet
    body: bytes
    body_length: int
    extensions: tuple[str, ...] = ()
    tunnel: Tunnel | None = None
    outer: Layers | None = None

    @property
    def whole(self) -> bool:
        """True if the capture holds every byte of the body."""
        return len(self.body) >= self.body_length


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that gives no sighting. *kind* is None if it is known and says nothing about IP."""

    reason: str
    kind: Kind | None = Kind.MALFORMED
