"""The parts of one namespace that its IP layer works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.choice import Oracle
from bothways.facts.snapshot import Netns
from bothways.model.linux.learned import Learned
from bothways.model.linux.netfilter import Netfilter
from bothways.model.linux.routing import Routing
from bothways.model.linux.settings import Settings
from bothways.model.linux.sockets import Sockets

__all__ = ["LOOPBACK", "Layer"]

LOOPBACK: Final = "lo"


@dataclass(frozen=True, slots=True)
class Layer:
    """The parts of one namespace that the IP layer works with."""

    netns: Netns
    routing: Routing
    netfilter: Netfilter
    sockets: Sockets
    settings: Settings
    oracle: Oracle

    @property
    def learned(self) -> Learned:
        """What ICMP taught."""
        return self.netfilter.learned
