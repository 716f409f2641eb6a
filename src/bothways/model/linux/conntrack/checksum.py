"""
A wrong checksum: refused where packets come in, if ``nf_conntrack_checksum`` says so.

``nf_ip_checksum``, ``nf_ip6_checksum``: the trackers of TCP, UDP and ICMP ask at PREROUTING only.
"""

from __future__ import annotations

from typing import Final

from bothways.model.linux.conntrack.arrival import Arrival, Ruled
from bothways.model.linux.hook import Hook

__all__ = ["refused_for_checksum"]


def refused_for_checksum(arrival: Arrival, log: str) -> Ruled | None:
    """
    Refuse a packet of which the checksum is wrong; None if it may pass nevertheless.

    :param log: what the kernel prints.
    """
    if arrival.hook is not Hook.PREROUTING:
        return None
    settings = arrival.settings
    lines = settings.relied_on("nf_conntrack_checksum")
    if not settings.value("nf_conntrack_checksum"):
        return None
    settings.takes_for_granted(_ON_THE_WIRE, "ethtool -k DEVICE")
    return Ruled(valid=False, why=_CHECKSUM, log=log, evidence=lines)


_CHECKSUM: Final = "its checksum is wrong: damaged on the way, or never computed where it was sent"
_ON_THE_WIRE: Final = "a checksum that was captured wrong was wrong, not left to a device to compute"
