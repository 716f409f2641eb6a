"""The same packet at all taps, and the connection that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.facts.address import Endpoint
from bothways.facts.packet import Flag
from bothways.facts.sighting import Sighting, Tap

__all__ = ["Connection", "Match", "Trajectory", "Unseen", "Way"]


class Way(StrEnum):
    """Direction in the connection, seen from who sent the first packet."""

    ORIGINAL = "original"
    REPLY = "reply"


class Match(StrEnum):
    """How sure it is that the sightings are one packet."""

    EXACT = "exact"  # same sequence numbers
    INFERRED = "inferred"  # flags, order, time and the NAT map only


@dataclass(frozen=True, slots=True)
class Unseen:
    """
    A tap that did not see a packet.

    :param certain: True if the capture ran, its filter admits the packet and it lost none.
    :param why: one sentence that says which of these is known.
    """

    tap: Tap
    certain: bool
    why: str


@dataclass(frozen=True, slots=True)
class Trajectory:
    """
    All sightings of one packet, in path order (sender first).

    :param ordinal: 1 for the first packet with these flags in this way, 2 for the next …
    :param doubles: sightings of an ``any`` capture that show the same packet once more on its way
        through the same host; kept, never counted as retransmissions. Also contained in *sightings*.
    :param retransmission_of: ordinal of the first transmission, None if this is the first.
    """

    way: Way
    flags: Flag
    ordinal: int
    sightings: tuple[Sighting, ...]
    match: Match
    doubles: tuple[Sighting, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    retransmission_of: int | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One connection with all its packets in time order.

    :param client: who sent the first packet, as it is named where the client lives.
    :param server: whom the client addressed, before any translation.
    :param server_names: every (address, port) that the server side bears at some tap.
    """

    protocol: int
    client: Endpoint
    server: Endpoint
    trajectories: tuple[Trajectory, ...]
    client_names: tuple[Endpoint, ...] = ()
    server_names: tuple[Endpoint, ...] = ()
    sightings: int = 0
