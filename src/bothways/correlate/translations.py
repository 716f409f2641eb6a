"""Which addresses the dumps say are translated into each other, and which side the client stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final

from bothways.facts.address import Endpoint, IPAddress
from bothways.facts.conntrack import Entry
from bothways.facts.iptables import AddressRange, Rule
from bothways.facts.openflow import Flow
from bothways.facts.snapshot import Netns, Snapshot

__all__ = ["Names", "Translations", "read_translations"]

_WORD: Final = 1 << 32

#: A connection's ends under one pair of names: client, server.
Names = tuple[Endpoint, Endpoint]


@dataclass(frozen=True, slots=True)
class Translations:
    """
    What is rewritten into what.

    :param destinations: (before, after) of a destination address.
    :param sources: (before, after) of a source address.
    :param tracked: (names before, names after) of a conntrack entry, client first.
    """

    destinations: frozenset[tuple[IPAddress, IPAddress]] = frozenset()
    sources: frozenset[tuple[IPAddress, IPAddress]] = frozenset()
    tracked: frozenset[tuple[Names, Names]] = frozenset()

    def server_side(self, one: IPAddress, two: IPAddress) -> int:
        """
        1 if a server that the client knows as *one* bears *two* further on, -1 the other way round, else 0.

        A rule for the answers says the same in reverse: their source *two* becomes *one*.
        """
        return self._order(one, two, self.destinations, self.sources)

    def client_side(self, one: IPAddress, two: IPAddress) -> int:
        """1 if a client that is *one* at home is *two* further on, -1 the other way round, else 0."""
        return self._order(one, two, self.sources, self.destinations)

    def order(self, one: Names, two: Names) -> int:
        """1 if names *one* stand nearer to the client than *two*, -1 if farther, 0 if no dump tells."""
        if ((one, two) in self.tracked) != ((two, one) in self.tracked):
            return 1 if (one, two) in self.tracked else -1
        if one[0] == two[0]:
            return self.server_side(one[1].address, two[1].address)
        if one[1] == two[1]:
            return self.client_side(one[0].address, two[0].address)
        return 0

    @staticmethod
    def _order(
        one: IPAddress,
        two: IPAddress,
        forth: frozenset[tuple[IPAddress, IPAddress]],
        back: frozenset[tuple[IPAddress, IPAddress]],
    ) -> int:
        yes = (one, two) in forth or (two, one) in back
        no = (two, one) in forth or (one, two) in back
        return int(yes) - int(no)


def read_translations(snapshot: Snapshot) -> Translations:
    """Collect NAT rules, rewriting flows and tracked connections of all dumps."""
    destinations: set[tuple[IPAddress, IPAddress]] = set()
    sources: set[tuple[IPAddress, IPAddress]] = set()
    tracked: set[tuple[Names, Names]] = set()
    for netns in snapshot.namespaces():
        for rule in _rules(netns):
            destinations.update(_rewritten(rule, "destination", "to-destination"))
            sources.update(_rewritten(rule, "source", "to-source"))
        tracked.update(_tracked(netns))
    for flow in _flows(snapshot):
        destinations.update(_set(flow, "nw_dst"))
        sources.update(_set(flow, "nw_src"))
    return Translations(frozenset(destinations), frozenset(sources), frozenset(tracked))


def _rules(netns: Netns) -> Iterator[Rule]:
    for tables in (netns.iptables, netns.ip6tables):
        for table in tables or ():
            if table.name == "nat":
                for chain in table.chains.values():
                    yield from chain.rules


def _rewritten(rule: Rule, match: str, option: str) -> Iterator[tuple[IPAddress, IPAddress]]:
    new = None if rule.target is None else rule.target.options.get(option)
    if not isinstance(new, AddressRange) or new.low is None:
        return
    for condition in rule.matches:
        old = condition.value
        if condition.name != match or condition.negate or not isinstance(old, IPv4Network | IPv6Network):
            continue
        if old.num_addresses == 1 and old.network_address != new.low:
            yield old.network_address, new.low


def _flows(snapshot: Snapshot) -> Iterator[Flow]:
    for host in snapshot.hosts.values():
        for bridge in host.switch.bridges.values() if host.switch is not None else ():
            yield from bridge.flows or ()


def _set(flow: Flow, name: str) -> Iterator[tuple[IPAddress, IPAddress]]:
    old = next((t.value for t in flow.match if t.field == name and t.mask is None), None)
    if old is None:
        return
    for action in flow.actions:
        new = action.args.get("value")
        writes = action.name in ("set_field", "load") and action.args.get("field") == name
        if writes and isinstance(new, int) and old != new and max(old, new) < _WORD and min(old, new) >= 0:
            yield IPv4Address(old), IPv4Address(new)


def _tracked(netns: Netns) -> Iterator[tuple[Names, Names]]:
    entries: list[Entry] = list(netns.conntrack or ())
    entries += [event.entry for event in netns.conntrack_events or ()]
    for entry in entries:
        before = (entry.original.source, entry.original.destination)
        after = (entry.reply.destination, entry.reply.source)
        if before != after:
            yield before, after
