"""
Routing: policy rules, tables, the longest prefix.

``net/ipv4/fib_rules.c`` and ``fib_trie.c``; ip-rule(8), ip-route(8). Rules are asked by priority. One that
matches names a table; the longest prefix there decides, among equal ones the lowest metric. No route in the
table, or a ``throw`` route, means the next rule. What was not collected is derived from the addresses as
far as the kernel makes routes of them by itself; beyond that the answer is *unknown* and not *none*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Freedom, Oracle
from bothways.facts.route import NextHop, Route, RoutingRule
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.addresses import connected_routes, local_routes
from bothways.model.linux.settings import command

__all__ = ["Outcome", "Routing", "Wanted"]

#: Names of tables by number, ``/etc/iproute2/rt_tables``.
_NUMBERS: Final = {"255": "local", "254": "main", "253": "default", "0": "all"}
_SUPPRESS: Final = re.compile(r"suppress_prefixlen(?:gth)? (\d+)")
_JUMPS: Final = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What a route is asked for (``struct flowi4``).

    :param device_in: where the packet came in, "" for one of this namespace.
    :param device_out: only routes out of this device, None for any.
    """

    destination: IPAddress
    source: IPAddress | None = None
    device_in: str = ""
    device_out: str | None = None
    mark: int = 0
    tos: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    Where a packet goes.

    :param kind: ``unicast``, ``local``, ``broadcast``, ``blackhole``, ``unreachable``, ``prohibit``;
        ``none`` if there is no route, ``unknown`` if nothing tells.
    :param next_hop: the neighbour that gets it: the gateway, or the destination itself.
    :param source: the address that packets of this namespace get on this way, None if the route names none.
    :param devices: every device that the route may use; more than one for a multipath route.
    """

    kind: str
    reason: str
    device: str = ""
    next_hop: IPAddress | None = None
    source: IPAddress | None = None
    evidence: tuple[Span, ...] = ()
    devices: frozenset[str] = frozenset()


class Routing:
    """The routes and rules of one namespace."""

    def __init__(self, netns: Netns, oracle: Oracle) -> None:
        self._netns = netns
        self._oracle = oracle
        self._tables: dict[str, list[Route]] = {}
        self._down = frozenset(d.name for d in netns.devices or () if not d.up)
        self.derived = netns.routes is None
        for route in netns.routes or connected_routes(netns):
            self._tables.setdefault(_named(route.table), []).append(route)
        whole = netns.routes is not None and netns.routes.whole
        if not whole or "local" not in self._tables:
            # `ip route` without `table all` leaves it out; the kernel makes it of the addresses.
            self._tables.setdefault("local", []).extend(local_routes(netns))

    def lookup(self, wanted: Wanted) -> Outcome:
        """Find the route of a packet."""
        rules = list(self._rules())
        at = jumps = 0
        while at < len(rules) and jumps < _JUMPS:
            rule = rules[at]
            at += 1
            if not self._applies(rule, wanted):
                continue
            if rule.action == "goto":
                jumps += 1
                at = next((i for i, r in enumerate(rules) if r.priority >= (rule.goto or 0)), len(rules))
            elif rule.action == "lookup":
                found = self._in_table(_named(rule.table or "main"), wanted, rule)
                if found is not None:
                    return found
            elif rule.action != "nop":
                return Outcome(rule.action, f"a policy rule says {rule.action}", evidence=_spans(rule.span))
        return self._none(wanted)

    def kind_of(self, address: IPAddress) -> str:
        """What an address is by the local table: ``local``, ``broadcast``, ``multicast``, ``unicast``."""
        if address.is_multicast:
            return "multicast"
        if int(address) == 0 or (address.version == 4 and int(address) == 0xFFFFFFFF):  # noqa: PLR2004 - IPv4
            return "broadcast"
        best = self._best("local", Wanted(address))
        return "unicast" if best is None else best.kind

    # -- rules ------------------------------------------------------------------------------------

    def _rules(self) -> Iterator[RoutingRule]:
        given = self._netns.rules
        if given is not None and len(given):
            yield from sorted(given, key=lambda r: r.priority)
            return
        if given is None:
            label = self._netns.label
            text = f"{label} has the three policy rules that the kernel starts with, and no other"
            self._oracle.assume(Assumption(text, command(self._netns, "ip -j rule")))
        for priority, table in ((0, "local"), (32766, "main"), (32767, "default")):
            yield RoutingRule(priority, "lookup", Span(""), table)

    def _applies(self, rule: RoutingRule, wanted: Wanted) -> bool:
        selected = all(self._selectors(rule, wanted))
        if selected is rule.invert:
            return False
        odd = [text for text in rule.unmodelled if not _SUPPRESS.match(text)]
        if not odd:
            return True
        if all(text.startswith("l3mdev") for text in odd):
            # Only packets of a VRF are asked this, and without a device of that kind there are none.
            return any(d.kind == "vrf" for d in self._netns.devices or ()) and self._choose(rule, wanted, odd)
        return self._choose(rule, wanted, odd)

    @staticmethod
    def _selectors(rule: RoutingRule, wanted: Wanted) -> Iterator[bool]:
        if rule.src is not None:
            yield wanted.source is not None and wanted.source in rule.src
        if rule.dst is not None:
            yield wanted.destination in rule.dst
        if rule.iif is not None:
            yield rule.iif == (wanted.device_in or "lo")
        if rule.oif is not None:
            yield rule.oif == wanted.device_out
        if rule.fwmark is not None:
            yield (wanted.mark ^ rule.fwmark) & rule.fwmask == 0
        if rule.tos is not None:
            yield rule.tos == (wanted.tos or 0)

    def _choose(self, rule: RoutingRule, wanted: Wanted, odd: list[str]) -> bool:
        what = ", ".join(odd)
        no = f"the policy rule {rule.priority} of {self._netns.label} ({what}) does not apply"
        yes = f"the policy rule {rule.priority} of {self._netns.label} ({what}) applies"
        key = f"policy rule {rule.priority} of {self._netns.label} for {wanted.source} > {wanted.destination}"
        return self._oracle.choose(key, [no, yes], freedom=Freedom.UNKNOWN, evidence=_spans(rule.span)) == yes

    # -- tables -----------------------------------------------------------------------------------

    def _in_table(self, table: str, wanted: Wanted, rule: RoutingRule) -> Outcome | None:
        """What a table says; None where the next rule is asked."""
        best = self._best(table, wanted)
        if best is None or best.kind == "throw":
            return None
        limit = next((int(m[1]) for text in rule.unmodelled if (m := _SUPPRESS.match(text))), -1)
        if best.destination.prefixlen <= limit:
            return None
        evidence = _spans(best.span)
        if rule.fwmark is not None or rule.src is not None or rule.iif is not None:
            evidence += _spans(rule.span)
        if best.kind == "local":
            return self._local(best, wanted, evidence)
        if best.kind != "unicast":
            why = f"the route {_words(best)} says {best.kind}"
            return Outcome(best.kind, why, evidence=evidence, source=best.prefsrc)
        if best.unmodelled:
            why = f"the route {_words(best)} has {', '.join(best.unmodelled)}, which is not modelled"
            return Outcome("unknown", why, evidence=evidence)
        return self._unicast(best, wanted, evidence)

    def _best(self, table: str, wanted: Wanted) -> Route | None:
        fitting = [route for route in self._tables.get(table, ()) if self._fits(route, wanted)]
        return min(fitting, key=lambda r: (-r.destination.prefixlen, r.metric), default=None)

    def _fits(self, route: Route, wanted: Wanted) -> bool:
        if (
            route.destination.version != wanted.destination.version
            or wanted.destination not in route.destination
        ):
            return False
        if not route.hops:
            return wanted.device_out is None
        return bool(self._usable(route, wanted))

    def _usable(self, route: Route, wanted: Wanted) -> list[NextHop]:
        """Next hops of a route whose device is up and is the one that was asked for."""
        if "dead" in route.flags:
            return []
        return [
            hop
            for hop in route.hops
            if hop.device not in self._down and wanted.device_out in (None, hop.device)
        ]

    def _local(self, route: Route, wanted: Wanted, evidence: tuple[Span, ...]) -> Outcome:
        owner = self._netns.owner_of(wanted.destination)
        if owner is None:
            why = f"{wanted.destination} is for this namespace itself: local route {_words(route)}"
            at = next((hop.device for hop in route.hops if hop.device), "")
            return Outcome("local", why, at, evidence=evidence, source=route.prefsrc)
        device, held = owner
        why = f"{wanted.destination} is an address of {device.name}: the packet is for this namespace itself"
        evidence = tuple(dict.fromkeys((held.span, *evidence)))
        return Outcome("local", why, device.name, evidence=evidence, source=route.prefsrc)

    def _unicast(self, route: Route, wanted: Wanted, evidence: tuple[Span, ...]) -> Outcome:
        hops = self._usable(route, wanted)
        hop = hops[0] if len(hops) == 1 else self._pick(route, hops, wanted)
        device = hop.device or self._device_toward(hop.gateway)
        if device is None:
            why = f"the route {_words(route)} names no device"
            return Outcome("unknown", why, evidence=evidence)
        if self.derived:
            label = self._netns.label
            text = f"{label} has no route for {wanted.destination} but the one that its own address makes"
            self._oracle.assume(Assumption(text, command(self._netns, "ip -j route show table all")))
        by = f"{hop.gateway} on {device}" if hop.gateway is not None else f"{device}, where it is on the link"
        return Outcome(
            "unicast",
            f"the route {_words(route)} sends {wanted.destination} to {by}",
            device,
            hop.gateway or wanted.destination,
            route.prefsrc,
            evidence,
            frozenset(h.device for h in hops if h.device is not None) | {device},
        )

    def _pick(self, route: Route, hops: list[NextHop], wanted: Wanted) -> NextHop:
        """One next hop of a multipath route: a hash of the addresses decides, and nobody knows its seed."""
        options = {f"{_words(route)} by {hop.gateway or 'link'} on {hop.device}": hop for hop in hops}
        key = f"multipath of {self._netns.label} for {wanted.source} > {wanted.destination}"
        taken = self._oracle.choose(key, list(options), freedom=Freedom.FREE, evidence=_spans(route.span))
        return options[taken]

    def _device_toward(self, gateway: IPAddress | None) -> str | None:
        """The device of a gateway that a route names alone."""
        if gateway is None:
            return None
        on_link = (
            r
            for rows in self._tables.values()
            for r in rows
            if r.kind == "unicast" and gateway in r.destination
        )
        best = max(
            (r for r in on_link if any(h.device and h.gateway is None for h in r.hops)),
            key=lambda r: r.destination.prefixlen,
            default=None,
        )
        return None if best is None else best.hops[0].device

    def _none(self, wanted: Wanted) -> Outcome:
        routes = self._netns.routes
        label = self._netns.label
        if routes is None:
            return Outcome(
                "unknown", f"which way {label} sends {wanted.destination}: its routes were not collected"
            )
        if not routes.whole:
            view = f"its routes are a filtered view ({routes.partial})"
            why = f"which way {label} sends {wanted.destination}: {view}"
            return Outcome("unknown", why)
        return Outcome("none", f"{label} has no route to {wanted.destination}")


def _named(table: str) -> str:
    return _NUMBERS.get(table, table)


def _spans(span: Span) -> tuple[Span, ...]:
    return (span,) if span.file else ()


def _words(route: Route) -> str:
    name = "default" if route.destination.prefixlen == 0 else str(route.destination)
    return name if route.table in ("main", "local", "254", "255") else f"{name} of table {route.table}"
