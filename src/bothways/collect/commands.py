"""Which dumps a bundle holds, and the command that prints each: the table of ``docs/reference/bundle.md``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["BRIDGE", "COUNTED", "NETNS", "SWITCH", "TRACKED", "Command"]


@dataclass(frozen=True, slots=True)
class Command:
    """
    One dump.

    :param file: name in the bundle; ``{bridge}`` stands for a bridge's name.
    :param argv: the command; ``{bridge}`` likewise, ``{db}``, ``{ctl}`` and ``{mgmt}`` for where a switch
        is asked.
    """

    file: str
    argv: tuple[str, ...]

    def filled(self, words: Mapping[str, str]) -> Command:
        """The same with the places filled in."""
        return Command(self.file.format(**words), tuple(word.format(**words) for word in self.argv))


def _of(table: Mapping[str, str]) -> tuple[Command, ...]:
    return tuple(Command(file, tuple(command.split())) for file, command in table.items())


#: Of every namespace, what traffic does not count up. Reading it registers neither hooks nor tables there.
NETNS: Final = _of(
    {
        "addr.json": "ip -d -j addr",
        "link.json": "ip -d -j link",
        "route.json": "ip -j route show table all",
        "rule.json": "ip -j rule",
        "neigh.json": "ip -j neigh",
        "fdb.json": "bridge -j fdb",
        "ss.txt": "ss -tan",
        "sysctl.txt": "sysctl net",
    }
)
#: Of every namespace, what has counters: to be read when the traffic in question is over.
COUNTED: Final = _of(
    {
        "iptables-save.txt": "iptables-save -c",
        "ip6tables-save.txt": "ip6tables-save -c",
        "nft.txt": "nft list ruleset",
        "nstat.txt": "nstat -az",
    }
)
#: Of a namespace that tracks connections, first of all: an entry may live for a second.
TRACKED: Final = _of(
    {
        "conntrack.txt": "conntrack -L -o extended",
        "conntrack-stats.txt": "conntrack -S",
    }
)
#: Of a host's Open vSwitch.
SWITCH: Final = _of(
    {
        "show.txt": "ovs-vsctl --db={db} show",
        "ovsdb.jsonl": "ovsdb-client dump -f json {db}",
        "tnl-neigh-show.txt": "ovs-appctl -t {ctl} tnl/neigh/show",
        "tnl-ports-show.txt": "ovs-appctl -t {ctl} tnl/ports/show -v",
        "ovs-route-show.txt": "ovs-appctl -t {ctl} ovs/route/show",
        "dpctl-dump-flows.txt": "ovs-appctl -t {ctl} dpctl/dump-flows",
        "dpctl-dump-conntrack.txt": "ovs-appctl -t {ctl} dpctl/dump-conntrack",
    }
)
#: Of each bridge.
BRIDGE: Final = _of(
    {
        "{bridge}.flows.txt": "ovs-ofctl -O OpenFlow10,OpenFlow13 --no-names dump-flows {mgmt}",
        "{bridge}.ports.txt": "ovs-ofctl -O OpenFlow10,OpenFlow13 show {mgmt}",
        "{bridge}.groups.txt": "ovs-ofctl -O OpenFlow11,OpenFlow13,OpenFlow15 dump-groups {mgmt}",
        "{bridge}.port-stats.txt": "ovs-ofctl -O OpenFlow10,OpenFlow13 dump-ports {mgmt}",
        "{bridge}.fdb.txt": "ovs-appctl -t {ctl} fdb/show {bridge}",
        "{bridge}.tlv-map.txt": "ovs-ofctl -O OpenFlow10,OpenFlow13 dump-tlv-map {mgmt}",
    }
)
