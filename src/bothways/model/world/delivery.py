"""A packet that reached somebody."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.packet import Packet
from bothways.model.world.wiring import At

__all__ = ["Delivery"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    A packet that reached somebody.

    :param at: the namespace it was delivered in; for a station outside the evidence the device
        behind which the station stands.
    """

    at: At
    packet: Packet
    outside: bool = False
