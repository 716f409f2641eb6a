"""Routes, policy rules, neighbours and conntrack entries of a namespace after a change."""

from __future__ import annotations

from dataclasses import replace

from bothways.facts.change import Act, ConntrackEdit, NeighbourEdit, RouteEdit, RoutingRuleEdit
from bothways.facts.conntrack import Entry
from bothways.facts.device import Neighbour
from bothways.facts.dump import Dump
from bothways.facts.route import NextHop, Route, RoutingRule
from bothways.facts.snapshot import Netns
from bothways.model.change.refusal import NothingToChangeError

__all__ = ["change_conntrack", "change_neighbour", "change_route", "change_routing_rule"]

_IPV6 = 6
#: ``IP6_RT_PRIO_USER``: the metric of an IPv6 route that names none.
_METRIC = 1024


def change_route(netns: Netns, edit: RouteEdit) -> Netns:
    """Add, replace or remove routes. Raises NothingToChangeError if none fits, or none were collected."""
    if netns.routes is None:
        raise NothingToChangeError(
            f"the routes of {netns.label} were not collected", "collect `ip -j route show table all` there"
        )
    rows = tuple(netns.routes)
    if edit.act in (Act.ADD, Act.REPLACE):
        added = _reached(netns, edit.route)
        if added.destination.version == _IPV6 and not added.metric:
            added = replace(added, metric=_METRIC)
        same = [r for r in rows if _in_place_of(added, r)]
        if same and edit.act is Act.ADD:
            raise NothingToChangeError(
                f"{netns.label} has a route to {added.destination} of this metric already",
                "replace it: ip route replace …",
            )
        rows = tuple(r for r in rows if r not in same[:1])
        return replace(netns, routes=replace(netns.routes, rows=(*rows, added)))
    kept = tuple(r for r in rows if not _admits(edit.route, r, whole=edit.act is Act.FLUSH))
    if len(kept) == len(rows):
        raise NothingToChangeError(f"{netns.label} has no such route", "see `ip route show table all`")
    if edit.act is Act.DELETE:  # one command removes one route, the first that fits
        gone = next(r for r in rows if r not in kept)
        kept = tuple(r for r in rows if r is not gone)
    return replace(netns, routes=replace(netns.routes, rows=kept))


def change_routing_rule(netns: Netns, edit: RoutingRuleEdit) -> Netns:
    """Add or remove policy rules. Raises NothingToChangeError if none fits, or none were collected."""
    ipv6 = edit.version == _IPV6
    given, option = (netns.rules6, "-6 ") if ipv6 else (netns.rules, "")
    if given is None:
        raise NothingToChangeError(
            f"the policy rules of {netns.label} were not collected", f"collect `ip {option}-j rule` there"
        )
    rows = tuple(given)
    if edit.act is Act.ADD:
        rule = edit.rule if edit.numbered else replace(edit.rule, priority=_free_priority(rows))
        left = tuple(sorted((*rows, rule), key=lambda r: r.priority))
    else:
        gone = [r for r in rows if edit.act is Act.FLUSH and r.priority] or [
            r for r in rows if edit.act is Act.DELETE and _same_rule(edit, r)
        ][:1]
        if not gone:
            raise NothingToChangeError(f"{netns.label} has no such policy rule", f"see `ip {option}rule`")
        left = tuple(r for r in rows if r not in gone)
    changed = replace(given, rows=left)
    return replace(netns, rules6=changed) if ipv6 else replace(netns, rules=changed)


def change_neighbour(netns: Netns, edit: NeighbourEdit) -> Netns:
    """Set, remove or flush neighbour entries. Raises NothingToChangeError if one to delete is not there."""
    old = netns.neighbours or Dump((), file="", partial="the change alone")
    if edit.act is Act.FLUSH:
        rows = tuple(n for n in old if not _flushed(edit, n))
        return replace(netns, neighbours=replace(old, rows=rows))
    wanted = edit.neighbour
    if wanted is None:
        return netns
    others = tuple(n for n in old if (n.address, n.device) != (wanted.address, wanted.device))
    if edit.act is Act.DELETE:
        if len(others) == len(old) and old.whole:
            raise NothingToChangeError(f"{netns.label} has no neighbour {wanted.address} on {wanted.device}")
        return replace(netns, neighbours=replace(old, rows=others))
    return replace(netns, neighbours=replace(old, rows=(*others, wanted)))


def change_conntrack(netns: Netns, edit: ConntrackEdit) -> Netns:
    """Forget the entries that the filters admit; none fits is no error: a walk starts without its own."""
    if netns.conntrack is None:
        return netns
    rows = tuple(e for e in netns.conntrack if not _forgotten(edit, e))
    return replace(netns, conntrack=replace(netns.conntrack, rows=rows))


def _reached(netns: Netns, route: Route) -> Route:
    """The route with the devices that its gateways are behind (``fib_check_nh``)."""
    hops = tuple(hop if hop.device is not None else _by_link(netns, hop) for hop in route.hops)
    for hop in hops:
        if hop.device is not None and netns.devices is not None and netns.device(hop.device) is None:
            raise NothingToChangeError(f"{netns.label} has no device {hop.device}")
    return replace(route, hops=hops)


def _by_link(netns: Netns, hop: NextHop) -> NextHop:
    gateway = hop.gateway
    found = [
        r
        for r in netns.routes or ()
        if gateway is not None
        and gateway.version == r.destination.version
        and r.kind == "unicast"
        and gateway in r.destination
        and not any(h.gateway for h in r.hops)
    ]
    if not found:
        raise NothingToChangeError(
            f"the gateway {gateway} is behind no device of {netns.label}", "name one: via GATEWAY dev DEVICE"
        )
    nearest = max(found, key=lambda r: r.destination.prefixlen)
    return replace(hop, device=nearest.hops[0].device)


def _in_place_of(new: Route, old: Route) -> bool:
    return (new.destination, new.table, new.metric) == (old.destination, old.table, old.metric) and (
        old.kind != "local" or new.kind == "local"
    )


def _admits(pattern: Route, route: Route, *, whole: bool) -> bool:
    """True if a pattern means a route; ``flush table N`` and ``flush dev D`` name no destination."""
    anywhere = whole and pattern.destination.prefixlen == 0
    hops = {(h.device, h.gateway) for h in route.hops}
    return (
        (anywhere or route.destination == pattern.destination)
        and route.table == pattern.table
        and all(any(p.device in (None, d) and p.gateway in (None, g) for d, g in hops) for p in pattern.hops)
        and pattern.metric in (0, route.metric)
    )


def _free_priority(rows: tuple[RoutingRule, ...]) -> int:
    """Where the kernel puts a rule without a priority: before the second one (``fib_default_rule_pref``)."""
    taken = sorted(r.priority for r in rows)
    return max(taken[1] - 1, 0) if len(taken) > 1 else 0


def _same_rule(edit: RoutingRuleEdit, rule: RoutingRule) -> bool:
    wanted = edit.rule
    if edit.numbered and wanted.priority != rule.priority:
        return False
    given = ("table", "src", "dst", "iif", "oif", "fwmark")
    return all(getattr(wanted, name) in (None, getattr(rule, name)) for name in given)


def _flushed(edit: NeighbourEdit, entry: Neighbour) -> bool:
    return (
        not entry.pinned
        and edit.device in (None, entry.device)
        and (edit.network is None or entry.address in edit.network)
    )


def _forgotten(edit: ConntrackEdit, entry: Entry) -> bool:
    original, reply = entry.original, entry.reply
    networks = (
        (edit.source, original.src),
        (edit.destination, original.dst),
        (edit.reply_source, reply.src),
        (edit.reply_destination, reply.dst),
    )
    values = (
        (edit.protocol, original.protocol),
        (edit.sport, original.sport),
        (edit.dport, original.dport),
        (edit.state, entry.state),
        (edit.zone, entry.zone),
        (edit.mark, entry.mark),
    )
    return all(n is None or address in n for n, address in networks) and all(
        wanted in (None, have) for wanted, have in values
    )
