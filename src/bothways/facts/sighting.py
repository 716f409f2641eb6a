"""One packet seen at one tap."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.facts.packet import Packet, Tunnel
from bothways.facts.span import Span

__all__ = ["Capture", "Direction", "Sighting", "Tap"]


class Direction(StrEnum):
    """Which way a packet crossed a device, seen from the host's stack."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, order=True)
class Tap:
    """Where a capture ran. *device* is ``any`` for a capture of all devices of a namespace."""

    host: str
    netns: str
    device: str

    def __str__(self) -> str:
        """``host/netns:device``; the host's own namespace is left out."""
        where = self.host if self.netns == "root" else f"{self.host}/{self.netns}"
        return f"{where}:{self.device}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    One packet at one tap at one time on that host's clock.

    A frame that carries a tunnelled packet is one sighting of the *inner* packet; *tunnel* says so.

    :param device: the real device, also at an ``any`` tap if the capture tells; None if it does not.
    :param direction: None if the capture does not tell.
    :param time_ns: nanoseconds since the epoch, or since midnight if *clock_only* is True.
    :param position: index of the frame or line in its capture, from 0, in recorded order.
    """

    tap: Tap
    device: str | None
    direction: Direction | None
    time_ns: int
    packet: Packet
    span: Span
    position: int
    tunnel: Tunnel | None = None
    clock_only: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Capture:
    """
    One capture: what it saw, and what it could have missed.

    :param filter: pcap-filter text it ran with, None if unknown, "" if none.
    :param started: first moment it surely ran, seconds since the epoch, None = unknown.
    :param dropped: packets the kernel dropped for it, None if unknown.
    :param received: packets that its filter admitted, None if unknown.
    :param source: the file inside the bundle.
    """

    tap: Tap
    sightings: tuple[Sighting, ...]
    source: str
    filter: str | None = None
    snaplen: int | None = None
    started: float | None = None
    stopped: float | None = None
    captured: int | None = None
    received: int | None = None
    dropped: int | None = None
    textual: bool = False
