"""What ``ss`` says is listening or connected."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import Endpoint
from bothways.facts.span import Span

__all__ = ["Socket"]


@dataclass(frozen=True, slots=True)
class Socket:
    """
    One socket. *local*/*peer* address is None for ``*`` or the unspecified address.

    :param protocol: ``tcp``, ``udp`` …; where ``ss`` ran without a protocol column, ``tcp``.
    :param family: 4 or 6 for a socket that takes one family only (``0.0.0.0:22``, ``[::]:22``), None
        where it takes both or the text does not tell (``*:22``).
    """

    protocol: str
    state: str
    local: Endpoint | None
    local_port: int | None
    peer: Endpoint | None
    span: Span
    device: str | None = None
    recv_queue: int | None = None
    send_queue: int | None = None
    process: str | None = None
    family: int | None = None
