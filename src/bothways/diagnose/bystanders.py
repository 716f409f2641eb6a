"""
Connections of the same site that a change must not break.

They are read from the snapshot: other addresses that rules or flows translate to a machine, what the machine
itself sends (to its gateway, to the client's side), and the metadata service where a rule redirects to it.
Whether anybody listens is not the point: a connection that is refused got there and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from bothways.diagnose.case import Case
from bothways.facts.address import IPAddress, IPNetwork
from bothways.facts.diagnosis import Fate
from bothways.facts.iptables import AddressRange, Rule
from bothways.facts.question import Question
from bothways.facts.snapshot import Snapshot

__all__ = ["REACHED", "Bystander", "bystanders_of"]

#: fates of a connection that got there and back
REACHED: Final = frozenset({Fate.WORKS, Fate.REFUSED})
_SSH: Final = 22
_MOST_ADDRESSES: Final = 4


@dataclass(frozen=True, slots=True)
class Bystander:
    """One connection that should go on as before. *name*: how the report calls it."""

    name: str
    question: Question


def bystanders_of(case: Case) -> tuple[Bystander, ...]:
    """Every connection of the snapshot that the same owners serve, each once."""
    snapshot, asked = case.bundle.snapshot, case.question
    pairs = dict(_translations(snapshot))
    found: dict[Question, str] = {}
    others = [outside for outside in pairs if outside != asked.destination][:_MOST_ADDRESSES]
    for outside in others:
        question = Question("tcp", asked.source, outside, asked.destination_port)
        found.setdefault(question, f"the other floating address {outside}")
    machines = dict.fromkeys(pairs.values())
    for machine in [m for m in machines if list(snapshot.owners_of(m))][:_MOST_ADDRESSES]:
        found.setdefault(
            Question("tcp", machine, asked.source, _SSH), f"what {machine} opens to {asked.source}"
        )
        for gateway in _gateways(snapshot, machine):
            found.setdefault(
                Question("tcp", machine, gateway, _SSH), f"what {machine} opens to its gateway {gateway}"
            )
        for service, port in _redirected(snapshot):
            found.setdefault(
                Question("tcp", machine, service, port),
                f"the metadata service {service}:{port} for {machine}",
            )
    return tuple(Bystander(name, question) for question, name in found.items())


def _translations(snapshot: Snapshot) -> Iterator[tuple[IPAddress, IPAddress]]:
    """Addresses outside, with the machine that rules or flows translate them to."""
    for rule in _nat_rules(snapshot):
        outside = _single(rule, "destination")
        option = None if rule.target is None else rule.target.options.get("to-destination")
        if outside is not None and isinstance(option, AddressRange) and option.low is not None:
            yield outside, option.low
    for host in snapshot.hosts.values():
        for bridge in host.switch.bridges.values() if host.switch is not None else ():
            for flow in bridge.flows or ():
                matched = next((t.value for t in flow.match if t.field == "nw_dst" and t.mask is None), None)
                written = next(
                    (
                        a.args.get("value")
                        for a in flow.actions
                        if a.name in ("set_field", "load") and a.args.get("field") == "nw_dst"
                    ),
                    None,
                )
                if isinstance(matched, int) and isinstance(written, int):
                    yield IPv4Address(matched), IPv4Address(written)


def _gateways(snapshot: Snapshot, machine: IPAddress) -> Iterator[IPAddress]:
    for netns, _, _ in snapshot.owners_of(machine):
        for route in netns.routes or ():
            if route.destination.prefixlen == 0:
                yield from (hop.gateway for hop in route.hops if hop.gateway is not None)


def _redirected(snapshot: Snapshot) -> Iterator[tuple[IPAddress, int]]:
    """Addresses and ports that a rule redirects to a service of the namespace itself."""
    for rule in _nat_rules(snapshot):
        service = _single(rule, "destination")
        port = next((m.value for m in rule.matches if m.name in ("tcp.dport", "tcp.destination-port")), None)
        number = port if isinstance(port, int) else port[0] if isinstance(port, tuple) and port else None
        redirects = rule.target is not None and rule.target.name == "REDIRECT"
        if redirects and service is not None and isinstance(number, int):
            yield service, number


def _nat_rules(snapshot: Snapshot) -> Iterator[Rule]:
    for netns in snapshot.namespaces():
        for table in netns.iptables or ():
            if table.name == "nat":
                for chain in table.chains.values():
                    yield from chain.rules


def _single(rule: Rule, name: str) -> IPAddress | None:
    for match in rule.matches:
        value = match.value
        if (
            match.name == name
            and not match.negate
            and isinstance(value, IPNetwork)
            and value.num_addresses == 1
        ):
            return value.network_address
    return None
