"""
What a stack learned from ICMP while a walk goes on (``fib_nh_exception``).

How much fits on the way to a destination, and which gateway is nearer to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.facts.address import IPAddress
from bothways.model.linux.peer import Peers

__all__ = ["Learned"]


@dataclass(slots=True)
class Learned:
    """
    Exceptions to the routes, by destination.

    :param mtu: bytes of the longest packet that arrives.
    :param peers: how often somebody was complained to.
    """

    mtu: dict[IPAddress, int] = field(default_factory=dict)
    gateway: dict[IPAddress, IPAddress] = field(default_factory=dict)
    peers: Peers = field(default_factory=Peers)
