"""Find the connection that somebody asks about, by any of its names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.facts.address import Endpoint, IPAddress
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP
from bothways.facts.question import Question
from bothways.facts.trajectory import Connection

__all__ = ["find"]

_PROTOCOLS: Final = {"tcp": {TCP}, "udp": {UDP}, "icmp": {ICMP, ICMP6}}


def find(connections: Iterable[Connection], question: Question) -> Connection | None:
    """
    The first connection between the asked ends.

    One whose client and server bear the asked names themselves comes before one that bears them behind a
    translation. A port that the question leaves out is any port.
    """
    numbers = _PROTOCOLS.get(question.protocol, set())
    behind: Connection | None = None
    for connection in connections:
        if connection.protocol not in numbers:
            continue
        if _matches((connection.client,), (connection.server,), question):
            return connection
        if behind is None and _matches(
            (connection.client, *connection.client_names),
            (connection.server, *connection.server_names),
            question,
        ):
            behind = connection
    return behind


def _matches(clients: Iterable[Endpoint], servers: Iterable[Endpoint], question: Question) -> bool:
    return _among(clients, question.source, question.source_port) and _among(
        servers, question.destination, question.destination_port
    )


def _among(ends: Iterable[Endpoint], address: IPAddress, port: int | None) -> bool:
    return any(end.address == address and port in (None, end.port) for end in ends)
