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
from bothways.model.linux.iptables.memory import MEMORY
from bothways.model.linux.iptables.metadata import METADATA
from bothways.model.linux.iptables.probe import Probe
from bothways.model.linux.iptables.sets import SETS
from bothways.model.linux.iptables.transport import TRANSPORT

__all__ = ["MATCHES", "VARYING", "fulfils", "matches"]

#: Everything that is modelled, by the names of ``parse.iptables``.
MATCHES: Final[Mapping[str, Fulfils]] = {**TRANSPORT, **MEMORY, **SETS, **HEADER, **METADATA}

#: Modules whose answer differs from packet to packet of one connection; all others look at what stays.
VARYING: Final = frozenset(
    {"statistic", "limit", "hashlimit", "quota", "recent", "connbytes", "string", "u32", "bpf", "tcp", "time"}
)


#: Matches whose answer does not hang on the rest of their rule: one answer serves all rules of a walk.
_ALONE: Final = frozenset({*HEADER, "mark.mark", "conntrack.ctstate", "state.state", "comment.comment"})


def matches(probe: Probe, rule: Rule, known: dict[int, bool | None]) -> tuple[bool | None, tuple[Match, ...]]:
    """
    Whether a packet fulfils all conditions of a rule.

    :param known: answers that were given to this packet already, by the match; they are added to.
    :return: the answer, and for None the conditions that could not be told.
    """
    open_: list[Match] = []
    for match in rule.matches:
        key = id(match)
        if key in known:
            answer = known[key]
        else:
            answer = fulfils(probe, match, rule)
            if match.name in _ALONE:
                known[key] = answer
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
