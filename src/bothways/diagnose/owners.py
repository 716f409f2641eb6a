"""
Who owns an address.

An address is owned by a namespace that holds it on a device, and by a switch whose flows translate
it or answer ARP for it. A switch that only answers with the MAC of the device that holds the address (as
OVN does for its ports) speaks for the owner, and is none. Two owners of one address are a fault that waits
(BW201): which of them serves a connection is decided by whoever answers ARP first.
"""

from __future__ import annotations

from dataclasses import dataclass

from bothways.diagnose.flip import nat_rules_for
from bothways.facts.address import IPAddress, mac_to_int
from bothways.facts.device import Device
from bothways.facts.iptables import Rule
from bothways.facts.openflow import Action, Bridge, Flow
from bothways.facts.snapshot import Netns, Snapshot
from bothways.facts.span import Span

__all__ = ["FlowOwner", "NetnsOwner", "Owners", "owners_of"]


@dataclass(frozen=True, slots=True)
class NetnsOwner:
    """A namespace that holds an address. *rules*: NAT rules that name it."""

    netns: Netns
    device: Device
    span: Span
    rules: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """``host/netns device``."""
        return f"{self.netns.label} ({self.device.name})"


@dataclass(frozen=True, slots=True)
class FlowOwner:
    """
    A bridge whose flows act for an address.

    :param inbound: flows that match it as destination and rewrite that.
    :param outbound: flows that write it as source.
    :param responders: flows that answer ARP requests for it.
    :param claims: flows among these that take frames for a namespace's own MAC.
    """

    host: str
    bridge: Bridge
    inbound: tuple[Flow, ...]
    outbound: tuple[Flow, ...]
    responders: tuple[Flow, ...]
    claims: tuple[Flow, ...]

    @property
    def label(self) -> str:
        """``flows of host bridge``."""
        return f"flows of {self.host} {self.bridge.name}"

    @property
    def flows(self) -> tuple[Flow, ...]:
        """All of them, in the order of the tables."""
        each = {flow.span: flow for flow in (*self.inbound, *self.outbound, *self.responders)}
        return tuple(sorted(each.values(), key=lambda f: (f.table, -f.priority)))


@dataclass(frozen=True, slots=True)
class Owners:
    """All owners of one address."""

    address: IPAddress
    namespaces: tuple[NetnsOwner, ...]
    switches: tuple[FlowOwner, ...]

    @property
    def two(self) -> bool:
        """
        True if more than one station acts for the address.

        Switches that have a flow for it in common are arms of one: a router that is on every host.
        """
        arms: list[set[tuple[object, ...]]] = []
        for owner in self.switches:
            mine = {_told(flow) for flow in owner.flows}
            joined = [each for each in arms if each & mine]
            arms = [each for each in arms if not each & mine] + [mine.union(*joined)]
        return len(self.namespaces) + len(arms) > 1

    @property
    def spans(self) -> tuple[Span, ...]:
        """The lines that make them owners."""
        spans = [
            span
            for owner in self.namespaces
            for span in (owner.span, *(rule.span for rule in owner.rules[:1]))
        ]
        spans += [flow.span for owner in self.switches for flow in owner.flows]
        return tuple(dict.fromkeys(spans))


def owners_of(snapshot: Snapshot, address: IPAddress) -> Owners:
    """Find every owner of an address in a snapshot."""
    namespaces = tuple(
        NetnsOwner(netns, device, held.span, tuple(nat_rules_for(netns, address)))
        for netns, device, held in snapshot.owners_of(address)
    )
    gateways = {
        mac_to_int(device.mac) for owner in namespaces for device in owner.netns.devices or () if device.mac
    }
    holders = {mac_to_int(owner.device.mac) for owner in namespaces if owner.device.mac}
    switches = []
    for host in snapshot.hosts.values():
        for bridge in host.switch.bridges.values() if host.switch is not None else ():
            owner = _flow_owner(host.name, bridge, int(address), gateways, holders)
            if owner is not None:
                switches.append(owner)
    return Owners(address, namespaces, tuple(switches))


def _flow_owner(
    host: str, bridge: Bridge, address: int, gateways: set[int], holders: set[int]
) -> FlowOwner | None:
    flows = tuple(bridge.flows or ())
    inbound = tuple(f for f in flows if _matches(f, "nw_dst", address) and _writes(f, "nw_dst"))
    outbound = tuple(f for f in flows if _writes(f, "nw_src", address))
    responders = tuple(f for f in flows if _matches(f, "arp_tpa", address) and _writes(f, "arp_op"))
    others = [f for f in responders if not any(_writes(f, "arp_sha", mac) for mac in holders)]
    if not (inbound or outbound or others):
        return None
    claims = tuple(f for f in outbound if any(t.field == "eth_dst" and t.value in gateways for t in f.match))
    return FlowOwner(host, bridge, inbound, outbound, responders, claims)


def _told(flow: Flow) -> tuple[object, ...]:
    """What a flow says, wherever it stands."""
    matched = tuple(sorted(term.text for term in flow.match))
    return flow.table, flow.priority, matched, tuple(action.text for action in flow.actions)


def _matches(flow: Flow, field: str, value: int) -> bool:
    return any(t.field == field and t.value == value for t in flow.match)


def _writes(flow: Flow, field: str, value: int | None = None) -> bool:
    return any(_written(action, field, value) for action in flow.actions)


def _written(action: Action, field: str, value: int | None) -> bool:
    if action.name not in ("set_field", "load") or action.args.get("field") != field:
        return False
    return value is None or action.args.get("value") == value
