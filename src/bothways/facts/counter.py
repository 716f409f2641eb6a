"""One counter of a namespace's network stack."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.span import Span

__all__ = ["Counter"]


@dataclass(frozen=True, slots=True)
class Counter:
    """
    One row of ``nstat -az``: what the kernel counts in ``/proc/net/snmp`` and ``/proc/net/netstat``.

    :param name: ``TcpOutRsts``, ``TcpExtListenDrops``, ``IpInDiscards`` …
    """

    name: str
    value: int
    span: Span
