"""
Where it cannot be told what a rule of nft does: the oracle is asked, and the doubt is told.

As ``iptables.listener`` does for its rules; a dump of nft may be one line, so a rule's place has a column.
"""

from __future__ import annotations

from collections.abc import Sequence

from bothways.facts.choice import Freedom
from bothways.facts.iptables import Rule
from bothways.facts.packet import Packet, flags_text
from bothways.model.linux.iptables.listener import Listener, in_words

__all__ = ["one_of", "take_or_leave"]


def take_or_leave(
    listener: Listener,
    rule: Rule,
    packet: Packet,
    why: str,
    *,
    free: bool = False,
    passing: bool = False,
    varying: bool = False,
) -> bool:
    """
    Ask whether a condition holds.

    :param why: what is not known, for the doubt.
    :param free: the kernel picks, so there is no doubt.
    :param passing: a single connection most likely passes.
    :param varying: the answer differs from packet to packet of a connection.
    """
    if not free:
        listener.doubt(f"whether a rule matches, because of {why}: {in_words(rule)}")
    yes, no = f"the rule matches: {in_words(rule)}", f"the rule does not match: {in_words(rule)}"
    options = [yes, no] if passing else [no, yes]
    freedom = Freedom.FREE if free else Freedom.UNKNOWN
    key = _key(rule, packet, why, varying=varying)
    return listener.choose(key, options, freedom=freedom, evidence=(rule.span,)) == yes


def one_of(
    listener: Listener,
    rule: Rule,
    packet: Packet,
    what: str,
    options: Sequence[str],
    *,
    free: bool,
    varying: bool = False,
) -> str:
    """
    Ask which of several things happens.

    :param what: is decided, for the doubt: ``the address that it translates to``.
    """
    if not free:
        listener.doubt(f"{what}: {in_words(rule)}")
    freedom = Freedom.FREE if free else Freedom.UNKNOWN
    key = _key(rule, packet, what, varying=varying)
    return listener.choose(key, list(options), freedom=freedom, evidence=(rule.span,))


def _key(rule: Rule, packet: Packet, what: str, *, varying: bool) -> str:
    flags = f" [{flags_text(packet.tcp.flags)}]" if varying and packet.tcp is not None else ""
    column = f":{rule.span.column}" if rule.span.column else ""
    return f"rule {rule.span}{column} ({what}) for {packet.source} > {packet.destination}{flags}"
