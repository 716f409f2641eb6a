"""The connection that somebody asks about."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import Endpoint, IPAddress

__all__ = ["Question"]


@dataclass(frozen=True, slots=True)
class Question:
    """
    One connection, as its client would name it: before any translation.

    :param protocol: ``tcp``, ``udp`` or ``icmp``.
    :param source_port: None = any.
    """

    protocol: str
    source: IPAddress
    destination: IPAddress
    destination_port: int | None = None
    source_port: int | None = None

    def __str__(self) -> str:
        """As the command line takes it: ``tcp 192.0.2.1 > 192.0.2.2:22``."""
        source = Endpoint(self.source, self.source_port)
        return f"{self.protocol} {source} > {Endpoint(self.destination, self.destination_port)}"
