"""
Whether a namespace tracks connections at all.

Since 4.10 the hooks of the tracker stand only in a namespace that needs them: a rule there asks for it when
it is loaded (``nf_ct_netns_get``). A rule needs it if it looks at connections or changes them. NOTRACK does
not. A namespace without such rules has no tracker, so none of its packets is ever INVALID. Before 4.10
every namespace had one; without a rule that asks it, that changes no packet's fate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.facts.iptables import Match, Rule, Table, Target
from bothways.facts.snapshot import Netns
from bothways.model.linux.nftables.needs import needs_tracker

__all__ = ["tracks", "tracks_by_rule"]

_MATCHES: Final = frozenset(
    {"conntrack", "state", "connmark", "connlabel", "connbytes", "connlimit", "helper", "cluster"}
)
_TARGETS: Final = frozenset(
    {"DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "CONNMARK", "CONNSECMARK", "SYNPROXY"}
)


def tracks(netns: Netns, version: int = 4) -> bool:
    """
    True if the namespace has a tracker for an IP version.

    A rule of that version needs it, or a dump of it shows that it has worked.
    """
    rows = [entry.original for entry in netns.conntrack or ()]
    seen = bool(netns.conntrack_events) or bool(netns.invalid_log)
    own, other = (netns.iptables, "ip6") if version == 4 else (netns.ip6tables, "ip")  # noqa: PLR2004 - IPv4
    return (
        seen
        or any(one.src.version == version for one in rows)
        or tracks_by_rule(own or ())
        or any(needs_tracker(table) for table in netns.nft or () if table.family not in ("bridge", other))
    )


def tracks_by_rule(tables: Iterable[Table]) -> bool:
    """True if a rule of these tables needs the tracker."""
    return any(_needs(rule) for table in tables for chain in table.chains.values() for rule in chain.rules)


def _needs(rule: Rule) -> bool:
    return _looks(rule.matches) or _does(rule.target)


def _looks(matches: tuple[Match, ...]) -> bool:
    return any(match.name.partition(".")[0] in _MATCHES for match in matches)


def _does(target: Target | None) -> bool:
    if target is None:
        return False
    return target.name in _TARGETS or (target.name == "CT" and "notrack" not in target.options)
