"""
Rules and tables of one namespace together.

``fib_rules_lookup`` of ``net/core/fib_rules.c``: rules are asked by priority. One that matches names a table;
no route in the table, a ``throw`` route, or one that the rule suppresses, means the next rule. A route that
refuses is not suppressed. What was not collected is derived from the addresses as far as the kernel makes
routes of them by itself; beyond that the answer is *unknown* and not *none*.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Freedom, Oracle
from bothways.facts.route import NextHop, Route, RoutingRule
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.model.linux.addresses import connected_routes, local_routes
from bothways.model.linux.routing.rule import holds
from bothways.model.linux.routing.table import REFUSALS, best_of, named, usable
from bothways.model.linux.routing.wanted import Outcome, Wanted
from bothways.model.linux.settings import Settings, command

__all__ = ["Routing"]

_JUMPS: Final = 64
_IPV4: Final = 4
#: Rules that the kernel starts with, by IP version.
_DEFAULTS: Final = {
    4: ((0, "local"), (32766, "main"), (32767, "default")),
    6: ((0, "local"), (32766, "main")),
}
#: Options of ``ip`` that show an IP version.
_OPTION: Final = {4: "", 6: "-6 "}


class Routing:
    """The routes and rules of one namespace, of both IP versions."""

    def __init__(self, netns: Netns, oracle: Oracle) -> None:
        self._netns = netns
        self._oracle = oracle
        self._settings = Settings(netns)
        self._tables: dict[tuple[int, str], list[Route]] = {}
        self._devices = {device.name: device for device in netns.devices or ()}
        given = netns.routes or ()
        self._collected = {version: self._are_collected(version, given) for version in (4, 6)}
        derived = [*connected_routes(netns)]
        for version in (4, 6):
            rows = given if self._collected[version] else derived
            for route in rows:
                if route.destination.version == version:
                    self._tables.setdefault((version, named(route.table)), []).append(route)
            whole = self._collected[version] and netns.routes is not None and netns.routes.whole
            if not whole or (version, "local") not in self._tables:
                # `ip route` without `table all` leaves it out; the kernel makes it of the addresses.
                made = [row for row in local_routes(netns) if row.destination.version == version]
                self._tables.setdefault((version, "local"), []).extend(made)
        self._sorted = {version: self._rules(version) for version in (4, 6)}

    def _are_collected(self, version: int, given: Iterable[Route]) -> bool:
        """False for an IP version that the namespace has addresses of and the dump shows nothing of."""
        if self._netns.routes is None:
            return False
        if any(route.destination.version == version for route in given):
            return True
        return version == _IPV4 or not any(
            held.address.version == version for device in self._devices.values() for held in device.addresses
        )

    def lookup(self, wanted: Wanted) -> Outcome:
        """Find the route of a packet."""
        version = wanted.destination.version
        rules = self._sorted[version]
        if not self._given(version):
            self._assume_rules(version)
        at = jumps = 0
        while at < len(rules) and jumps < _JUMPS:
            rule = rules[at]
            at += 1
            if not self._applies(rule, wanted):
                continue
            if rule.action == "goto":
                target = next((i for i, r in enumerate(rules) if r.priority == rule.goto and i >= at), None)
                # A goto to a priority that nobody has is passed over.
                jumps += target is not None
                at = at if target is None else target
            elif rule.action == "lookup":
                found = self._in_table(rule, wanted)
                if found is not None:
                    return found
            elif rule.action != "nop":
                return _refused_by(rule)
        return self._none(wanted)

    def kind_of(self, address: IPAddress) -> str:
        """What an address is by the local table: ``local``, ``broadcast``, ``multicast``, ``unicast``."""
        if address.is_multicast:
            return "multicast"
        if address.version == _IPV4 and int(address) in (0, 0xFFFFFFFF):
            return "broadcast"
        best = self._best("local", Wanted(address))
        if best is None:
            return "unicast"
        return "local" if best.kind == "anycast" else best.kind

    def route_of(self, address: IPAddress) -> Route | None:
        """The row of the local table for an address, None if it has none."""
        return self._best("local", Wanted(address))

    @property
    def customized(self) -> bool:
        """
        True if IPv4 has policy rules or local routes that somebody added.

        The kernel then checks every sender by the tables (``fib4_has_custom_rules``,
        ``fib_has_custom_local_routes``).
        """
        rows = self._tables.get((4, "local"), ())
        if any(row.kind == "local" and row.protocol not in ("kernel", "") for row in rows):
            return True
        found = [(r.priority, r.table) for r in self._sorted[4]]
        return [(p, None if t is None else named(t)) for p, t in found] != [*_DEFAULTS[4]]

    @property
    def dissects(self) -> bool:
        """
        True if IPv4 reads protocol and ports of a packet that comes in, for its policy rules.

        A rule that asks for them among packets of the namespace itself alone (``iif lo``) is no reason
        (``fib_rule_requires_fldissect``).
        """
        return any(
            row.iif != "lo" and (row.protocol, row.source_ports, row.destination_ports) != (None, None, None)
            for row in self._sorted[4]
        )

    # -- rules ------------------------------------------------------------------------------------

    def _given(self, version: int) -> bool:
        return (self._netns.rules if version == _IPV4 else self._netns.rules6) is not None

    def _rules(self, version: int) -> list[RoutingRule]:
        given = self._netns.rules if version == _IPV4 else self._netns.rules6
        if given is not None and len(given):
            return sorted(given, key=lambda r: r.priority)
        return [RoutingRule(priority, "lookup", Span(""), table) for priority, table in _DEFAULTS[version]]

    def _assume_rules(self, version: int) -> None:
        count = {4: "three policy rules", 6: "two policy rules of IPv6"}[version]
        text = f"{self._netns.label} has the {count} that the kernel starts with, and no other"
        self._oracle.assume(Assumption(text, command(self._netns, f"ip {_OPTION[version]}-j rule")))

    def _applies(self, rule: RoutingRule, wanted: Wanted) -> bool:
        if rule.l3mdev and not any(d.kind == "vrf" for d in self._devices.values()):
            # Only packets of a VRF are asked this, and without a device of that kind there are none.
            return False
        answer, open_ = holds(rule, wanted)
        if rule.l3mdev and answer is not False:
            answer, open_ = None, "l3mdev"
        return self._choose(rule, wanted, open_) if answer is None else answer

    def _choose(self, rule: RoutingRule, wanted: Wanted, what: str) -> bool:
        no = f"the policy rule {rule.priority} of {self._netns.label} ({what}) does not apply"
        yes = f"the policy rule {rule.priority} of {self._netns.label} ({what}) applies"
        key = f"policy rule {rule.priority} of {self._netns.label} for {wanted.source} > {wanted.destination}"
        return self._oracle.choose(key, [no, yes], freedom=Freedom.UNKNOWN, evidence=_spans(rule.span)) == yes

    # -- tables -----------------------------------------------------------------------------------

    def _best(self, table: str, wanted: Wanted) -> Route | None:
        rows = self._tables.get((wanted.destination.version, table), ())
        return best_of(rows, wanted, self._works)

    def _works(self, hop: NextHop, route: Route) -> bool:
        """False for a next hop by a device that is down, or without carrier where that counts."""
        flags = hop.flags | route.flags if len(route.hops) == 1 else hop.flags
        device = None if hop.device is None else self._devices.get(hop.device)
        if "dead" in flags or (device is not None and not device.up and route.kind == "unicast"):
            return False
        if hop.device is not None and ("linkdown" in flags or (device is not None and not device.carrier)):
            ignored = self._settings.of_device(
                "ignore_routes_with_linkdown", hop.device, version=route.destination.version
            )
            return ignored is None or not ignored.value
        return True

    def _in_table(self, rule: RoutingRule, wanted: Wanted) -> Outcome | None:
        """What a table says; None where the next rule is asked."""
        best = self._best(named(rule.table or "main"), wanted)
        if best is None or best.kind == "throw":
            return None
        evidence = _spans(best.span)
        if any(each is not None for each in (rule.fwmark, rule.src, rule.iif, rule.protocol, rule.tos)):
            evidence += _spans(rule.span)
        if best.kind in REFUSALS:
            why = f"the route {_words(best)} says {best.kind}"
            return Outcome(best.kind, why, evidence=evidence, source=best.prefsrc)
        limit = rule.suppress_prefixlength
        if limit is not None and best.destination.prefixlen <= limit:
            return None
        if best.kind in ("local", "anycast"):
            return self._local(best, wanted, evidence)
        if best.kind != "unicast":
            why = f"the route {_words(best)} says {best.kind}"
            device = next((hop.device for hop in best.hops if hop.device), "")
            return Outcome(best.kind, why, device, evidence=evidence, source=best.prefsrc)
        if best.unmodelled:
            why = f"the route {_words(best)} has {', '.join(best.unmodelled)}, which is not modelled"
            return Outcome("unknown", why, evidence=evidence)
        return self._unicast(best, wanted, evidence)

    def _local(self, route: Route, wanted: Wanted, evidence: tuple[Span, ...]) -> Outcome:
        owner = self._netns.owner_of(wanted.destination)
        if owner is None:
            why = f"{wanted.destination} is for this namespace itself: {route.kind} route {_words(route)}"
            at = next((hop.device for hop in route.hops if hop.device), "")
            return Outcome("local", why, at, evidence=evidence, source=route.prefsrc)
        device, held = owner
        why = f"{wanted.destination} is an address of {device.name}: the packet is for this namespace itself"
        evidence = tuple(dict.fromkeys((held.span, *evidence)))
        return Outcome("local", why, device.name, evidence=evidence, source=route.prefsrc)

    def _unicast(self, route: Route, wanted: Wanted, evidence: tuple[Span, ...]) -> Outcome:
        hops = usable(route, wanted, self._works) or [h for h in route.hops if self._works(h, route)]
        if not hops:
            return Outcome("unknown", f"the route {_words(route)} names no device", evidence=evidence)
        hop = hops[0] if len(hops) == 1 else self._pick(route, hops, wanted)
        device = hop.device or self._device_toward(hop.gateway)
        if device is None:
            why = f"the route {_words(route)} names no device"
            return Outcome("unknown", why, evidence=evidence)
        version = wanted.destination.version
        if not self._collected[version]:
            label = self._netns.label
            text = f"{label} has no route for {wanted.destination} but the one that its own address makes"
            what = f"ip {_OPTION[version]}-j route show table all"
            self._oracle.assume(Assumption(text, command(self._netns, what)))
        by = f"{hop.gateway} on {device}" if hop.gateway is not None else f"{device}, where it is on the link"
        return Outcome(
            "unicast",
            f"the route {_words(route)} sends {wanted.destination} to {by}",
            device,
            hop.gateway or wanted.destination,
            route.prefsrc,
            evidence,
            frozenset(h.device for h in route.hops if h.device is not None) | {device},
            direct=hop.gateway is None,
            mtu=route.mtu,
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
            if r.kind == "unicast" and r.destination.version == gateway.version and gateway in r.destination
        )
        best = max(
            (r for r in on_link if any(h.device and h.gateway is None for h in r.hops)),
            key=lambda r: r.destination.prefixlen,
            default=None,
        )
        return None if best is None else best.hops[0].device

    def _none(self, wanted: Wanted) -> Outcome:
        routes = self._netns.routes
        label, version = self._netns.label, wanted.destination.version
        if routes is None or not self._collected[version]:
            of = "routes" if version == _IPV4 else "IPv6 routes"
            why = f"which way {label} sends {wanted.destination}: its {of} were not collected"
            return Outcome("unknown", why)
        if not routes.whole:
            view = f"its routes are a filtered view ({routes.partial})"
            why = f"which way {label} sends {wanted.destination}: {view}"
            return Outcome("unknown", why)
        return Outcome("none", f"{label} has no route to {wanted.destination}")


def _refused_by(rule: RoutingRule) -> Outcome:
    """A rule that refuses: ``unreachable`` says of a rule what no route says (ENETUNREACH)."""
    kind = "none" if rule.action == "unreachable" else rule.action
    return Outcome(kind, f"a policy rule says {rule.action}", evidence=_spans(rule.span))


def _spans(span: Span) -> tuple[Span, ...]:
    return (span,) if span.file else ()


def _words(route: Route) -> str:
    name = "default" if route.destination.prefixlen == 0 else str(route.destination)
    return name if route.table in ("main", "local", "254", "255") else f"{name} of table {route.table}"
