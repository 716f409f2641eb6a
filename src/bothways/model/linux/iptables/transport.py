"""
Conditions on protocols of which evidence shows the number alone: SCTP, DCCP, UDP-Lite, ESP, AH, fragments.

A packet of another protocol fails, whatever ``!`` says; one of the protocol is open. Sources:
``net/netfilter/xt_sctp.c``, ``xt_dccp.c``, ``xt_tcpudp.c``, ``xt_esp.c``, ``ipt_ah.c``, ``ip6t_frag.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.iptables import Match, Rule
from bothways.model.linux.iptables.condition import Fulfils
from bothways.model.linux.iptables.probe import Probe

__all__ = ["TRANSPORT"]

_PROTOCOLS: Final = {
    "sctp": 132, "dccp": 33, "udplite": 136, "esp": 50, "ah": 51, "mh": 135, "ipcomp": 108,
}  # fmt: skip
_ROWS: Final = {
    "sctp": ("sport", "dport", "chunk-types"),
    "dccp": ("sport", "dport", "dccp-types", "dccp-option"),
    "udplite": ("sport", "dport"),
    "esp": ("espspi", "esp"),
    "ah": ("ahspi", "ahlen", "ahres", "ah"),
    "mh": ("mh-type", "mh"),
    "ipcomp": ("ipcompspi", "ipcomp"),
}
_FRAGMENT: Final = ("fragid", "fraglen", "fragres", "fragfirst", "fragmore", "fraglast", "frag")


def _of(protocol: int) -> Fulfils:
    def row(probe: Probe, _: Match, __: Rule) -> bool | None:
        ip = probe.packet.ip
        return False if ip is not None and (ip.protocol != protocol or ip.offset > 0) else None

    return row


def _fragment(probe: Probe, _: Match, __: Rule) -> bool | None:
    """A packet that is no fragment has no such header."""
    ip = probe.packet.ip
    return False if ip is not None and not ip.more and not ip.offset else None


#: match name of ``parse.iptables`` -> row
TRANSPORT: Final[Mapping[str, Fulfils]] = {
    **{
        f"{module}.{option}": _of(_PROTOCOLS[module])
        for module, options in _ROWS.items()
        for option in options
    },
    **{f"frag.{option}": _fragment for option in _FRAGMENT},
}
