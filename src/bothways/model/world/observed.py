"""What captures say about points where the dumps leave the network free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.facts.address import Endpoint, IPAddress, Mac
from bothways.model.world.wiring import At

__all__ = ["Entrance", "Observed"]


@dataclass(frozen=True, slots=True)
class Entrance:
    """
    Where the packets of a client that no dump shows come in.

    :param at: the device that received its first packet.
    :param mac: sender of that frame; *gateway* its receiver.
    """

    at: At
    mac: Mac
    gateway: Mac


@dataclass(frozen=True, slots=True)
class Observed:
    """
    Facts of captures that a walk may need.

    :param neighbours: (device's label, address) -> MAC that frames for that address carried there.
    :param accepts: endpoints that were seen to answer a SYN with SYN/ACK (True) or RST (False).
    :param forwarders: MACs that were seen to pass packets on which were not addressed to them.
    :param entrance: for a client outside the evidence.
    """

    neighbours: Mapping[tuple[str, IPAddress], Mac] = field(default_factory=dict)
    accepts: Mapping[Endpoint, bool] = field(default_factory=dict)
    forwarders: frozenset[Mac] = frozenset()
    entrance: Entrance | None = None
