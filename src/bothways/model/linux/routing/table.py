"""
Which row of one routing table decides for a packet.

IPv4, ``fib_table_lookup`` of ``net/ipv4/fib_trie.c``: the longest prefix; among equal ones those with the
packet's TOS first, then the lowest metric. A row that refuses decides whatever device is asked for; one whose
next hops cannot be used does not count, and a shorter prefix is tried.

IPv6, ``fib6_table_lookup`` of ``net/ipv6/route.c``: the longest prefix of the destination, then of the
source, then the lowest metric, then the preference of the router, then the device that is asked for. Where
rows of one prefix look at the source, those of the same prefix that do not are not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bothways.facts.route import NextHop, Route
from bothways.model.linux.routing.rule import LEGACY_TOS
from bothways.model.linux.routing.wanted import Wanted

__all__ = ["REFUSALS", "best_of", "named", "usable"]

#: Kinds of routes that send a packet nowhere.
REFUSALS: Final = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
#: Names of tables by number, ``/etc/iproute2/rt_tables``.
_NUMBERS: Final = {"255": "local", "254": "main", "253": "default", "0": "all"}
_PREFERENCES: Final[Mapping[str, int]] = {"high": 0, "medium": 1, "": 1, "low": 2}
_IPV4: Final = 4
#: Destinations for which a route by another device does not count (``rt6_need_strict``).
_STRICT: Final = ("is_multicast", "is_link_local", "is_loopback")

Usable = Callable[[NextHop, Route], bool]


def named(table: str) -> str:
    """The name of a table that has one."""
    return _NUMBERS.get(table, table)


def usable(route: Route, wanted: Wanted, works: Usable) -> list[NextHop]:
    """Next hops of a route that work and leave by the device that was asked for."""
    if "dead" in route.flags:
        return []
    return [hop for hop in route.hops if works(hop, route) and wanted.device_out in (None, hop.device)]


def best_of(rows: Iterable[Route], wanted: Wanted, works: Usable) -> Route | None:
    """The row that decides, None if none does."""
    if wanted.destination.version == _IPV4:
        fitting = [row for row in rows if _takes(row, wanted) and _tos_fits(row, wanted)]
        fitting.sort(key=lambda row: (-row.destination.prefixlen, -(row.tos or 0), row.metric))
        return next((r for r in fitting if r.kind in REFUSALS or _works(r, wanted, works)), None)
    asked = wanted.device_out or wanted.device_in
    strict = any(getattr(wanted.destination, kind) for kind in _STRICT) and bool(asked)
    taking = [row for row in rows if _takes(row, wanted)]
    # Rows of a prefix that look at the source hide those that do not, if none of them fits; not so in
    # ``default`` (``fib6_node_lookup_1``).
    hidden = {row.destination for row in taking if _looks_at_source(row) and row.destination.prefixlen}
    hidden -= {row.destination for row in taking if _looks_at_source(row) and _source_fits(row, wanted)}
    found = [
        row
        for row in taking
        if row.destination not in hidden and (not _looks_at_source(row) or _source_fits(row, wanted))
    ]
    if strict:
        found = [row for row in found if any(hop.device == asked for hop in row.hops) or not row.hops]
    found = [row for row in found if _works_in_ipv6(row, works)]
    found.sort(key=lambda row: _order(row, asked))
    return found[0] if found else None


def _takes(route: Route, wanted: Wanted) -> bool:
    return route.destination.version == wanted.destination.version and wanted.destination in route.destination


def _tos_fits(route: Route, wanted: Wanted) -> bool:
    return not route.tos or route.tos == (wanted.tos or 0) & LEGACY_TOS


def _looks_at_source(route: Route) -> bool:
    return route.source is not None and route.source.prefixlen > 0


def _source_fits(route: Route, wanted: Wanted) -> bool:
    return route.source is not None and wanted.source is not None and wanted.source in route.source


def _works(route: Route, wanted: Wanted, works: Usable) -> bool:
    return not route.hops or bool(usable(route, wanted, works))


def _works_in_ipv6(route: Route, works: Usable) -> bool:
    """The device that is asked for is a wish only, so any next hop will do."""
    return not route.hops or any(works(hop, route) for hop in route.hops)


def _order(route: Route, asked: str) -> tuple[int, int, int, int, bool]:
    return (
        -route.destination.prefixlen,
        -(0 if route.source is None else route.source.prefixlen),
        route.metric,
        _PREFERENCES.get(route.preference, 1),
        bool(asked) and all(hop.device != asked for hop in route.hops),
    )
