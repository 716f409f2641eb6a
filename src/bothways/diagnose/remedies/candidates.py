"""
Remedies that follow from who owns the address: let one owner be the only one.

The commands are made from the facts: a rule is deleted by the words that ``iptables-save`` printed, a flow
strictly by its table, priority and match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bothways.diagnose.case import Case
from bothways.diagnose.owners import FlowOwner, NetnsOwner
from bothways.diagnose.remedies.attempt import Attempt
from bothways.facts.address import Mac, mac_from_int
from bothways.facts.iptables import Rule
from bothways.facts.openflow import Flow

__all__ = ["candidates_of"]

_RULE: Final = re.compile(r"\s*(?:\[\d+:\d+\]\s*)?-A\s+(?P<rest>.*)\Z")


def candidates_of(case: Case) -> Iterator[Attempt]:
    """Every way to leave the address to one owner, whole ones first."""
    owners = case.owners
    for switch in owners.switches:
        yield Attempt(
            tuple(_deleted(switch, flow) for flow in switch.flows),
            f"takes {owners.address} away from the flows of {switch.host} {switch.bridge.name}",
        )
    for owner in owners.namespaces:
        if owners.two:
            yield Attempt(
                tuple(_given_up(case, owner)),
                f"takes {owners.address} away from {owner.netns.label}",
            )
    yield from _halves(case)
    yield from _pinned(case)


def _halves(case: Case) -> Iterator[Attempt]:
    for switch in case.owners.switches:
        inbound = {flow.span for flow in (*switch.inbound, *switch.responders)}
        for name, flows in (
            ("outgoing", [f for f in switch.flows if f.span not in inbound]),
            ("incoming", [f for f in switch.flows if f.span in inbound]),
        ):
            if flows and len(flows) < len(switch.flows):
                yield Attempt(
                    tuple(_deleted(switch, flow) for flow in flows),
                    f"takes only the {name} half away from the flows of {switch.host} {switch.bridge.name}",
                )


def _deleted(owner: FlowOwner, flow: Flow) -> str:
    terms = dict.fromkeys(term.text for term in flow.match)
    match = ",".join((f"table={flow.table}", f"priority={flow.priority}", *terms))
    return f"{owner.host}: ovs-ofctl --strict del-flows {owner.bridge.name} '{match}'"


def _given_up(case: Case, owner: NetnsOwner) -> Iterator[str]:
    place = _place(owner.netns.host, owner.netns.name)
    for rule in owner.rules:
        words = _words(rule)
        if words is not None:
            yield f"{place}: iptables -t {rule.table} -D {words}"
    held = next((a for a in owner.device.addresses if a.address == case.owners.address), None)
    if held is not None:
        yield f"{place}: ip addr del {held.address}/{held.prefix} dev {owner.device.name}"
    yield f"{place}: conntrack -D -d {case.owners.address}"


def _words(rule: Rule) -> str | None:
    found = _RULE.match(rule.span.text)
    return None if found is None else found["rest"].strip()


def _pinned(case: Case) -> Iterator[Attempt]:
    """Pin the client's neighbour entry to one owner's MAC: helps this client alone."""
    if not case.owners.two:
        return
    stations = [(o.device.mac, o.label) for o in case.owners.namespaces]
    stations += [(mac, o.label) for o in case.owners.switches for mac in _announced(o)]
    for netns, _, _ in case.bundle.snapshot.owners_of(case.question.source):
        for entry in netns.neighbours or ():
            if entry.address != case.owners.address:
                continue
            for mac, label in stations:
                if mac != entry.mac:
                    command = (
                        f"ip neigh replace {entry.address} lladdr {mac} nud permanent dev {entry.device}"
                    )
                    yield Attempt(
                        (f"{_place(netns.host, netns.name)}: {command}",),
                        f"pins {entry.address} to {label} for this client alone",
                    )


def _announced(owner: FlowOwner) -> list[Mac]:
    values = (
        action.args.get("value")
        for flow in owner.responders
        for action in flow.actions
        if action.args.get("field") == "arp_sha"
    )
    return [mac_from_int(value) for value in values if isinstance(value, int)]


def _place(host: str, netns: str) -> str:
    return host if netns == "root" else f"{host}/{netns}"
