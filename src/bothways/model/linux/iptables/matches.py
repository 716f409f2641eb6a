"""
Whether a packet fulfils the conditions of a rule.

One row per match name of ``parse.iptables``. A row says yes, no, or None: the evidence does not tell, or
bothways does not model it. It gives the answer with the rule's ``!`` applied, because some matches fail
whatever ``!`` says: a connmark of a packet without a connection, a port of a packet that is not TCP.

Sources: iptables-extensions(8); ``net/ipv4/netfilter/ip_tables.c`` (``ip_packet_match``),
``net/netfilter/xt_*.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.iptables import Match, Rule
from bothways.model.linux.iptables.condition import Fulfils
from bothways.model.linux.iptables.header import HEADER
from bothways.model.linux.iptables.metadata import METADATA
from bothways.model.linux.iptables.probe import Probe

__all__ = ["MATCHES", "PASSING", "VARYING", "fulfils", "matches"]

#: Everything that is modelled, by the names of ``parse.iptables``.
MATCHES: Final[Mapping[str, Fulfils]] = {**HEADER, **METADATA}

#: Modules whose answer differs from packet to packet of one connection; all others look at what stays.
VARYING: Final = frozenset(
    {"statistic", "limit", "hashlimit", "quota", "recent", "connbytes", "string", "u32", "bpf", "tcp", "time"}
)
#: Modules that a single connection most likely passes: limits are made for more than one.
PASSING: Final = frozenset({"limit", "quota", "time"})


def matches(probe: Probe, rule: Rule) -> tuple[bool | None, tuple[Match, ...]]:
    """
    Whether a packet fulfils all conditions of a rule.

    :return: the answer, and for None the conditions that could not be told.
    """
    open_: list[Match] = []
    for match in rule.matches:
        answer = fulfils(probe, match, rule)
        if answer is False:
            return False, ()
        if answer is None:
            open_.append(match)
    return (None, tuple(open_)) if open_ else (True, ())


def fulfils(probe: Probe, match: Match, rule: Rule) -> bool | None:
    """Whether a packet fulfils one condition; None if that cannot be told."""
    row = MATCHES.get(match.name)
    if row is None or not match.modelled:
        return None
    return row(probe, match, rule)
