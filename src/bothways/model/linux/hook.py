"""
The five hooks of the IP layer, as iptables spells the chains that hang on them.

``include/uapi/linux/netfilter.h``: a packet for this namespace passes PREROUTING and INPUT, a forwarded
one PREROUTING, FORWARD and POSTROUTING, one of its own OUTPUT and POSTROUTING.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Hook"]


class Hook(StrEnum):
    """Where in the stack a packet is."""

    PREROUTING = "PREROUTING"
    INPUT = "INPUT"
    FORWARD = "FORWARD"
    OUTPUT = "OUTPUT"
    POSTROUTING = "POSTROUTING"
