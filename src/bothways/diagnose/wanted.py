"""Which dumps are missing, what is unknown without them, and the command that would supply each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.facts.diagnosis import Next
from bothways.facts.snapshot import Host, Netns, Snapshot

__all__ = ["missing_of", "partial_views"]

#: field of Netns -> (what is not known without it, the command that shows it)
_DUMPS: Final = {
    "devices": ("devices and addresses", "ip -d -j addr"),
    "routes": ("routes", "ip -j route show table all"),
    "rules": ("routing rules", "ip -j rule"),
    "neighbours": ("neighbour (ARP) entries", "ip -j neigh"),
    "iptables": ("iptables rules", "iptables-save -c"),
    "conntrack": ("conntrack entries", "conntrack -L -o extended"),
    "sockets": ("listening sockets", "ss -tlnp"),
    "sysctls": ("sysctls", "sysctl -a"),
}


def missing_of(netns: Netns, why: str) -> Iterator[tuple[str, Next]]:
    """What was not collected of a namespace: a sentence, and what to run."""
    for name, (what, command) in _DUMPS.items():
        if getattr(netns, name) is None:
            prefix = "" if netns.name == "root" else f"ip netns exec {netns.name} "
            yield (
                f"{what} of {netns.label} were not collected",
                Next(netns.host, prefix + command, why),
            )


def partial_views(snapshot: Snapshot, address: str) -> Iterator[tuple[str, Next]]:
    """Filtered flow dumps, and bridges whose flows nobody dumped."""
    for host in snapshot.hosts.values():
        yield from _of_switch(host, address)


def _of_switch(host: Host, address: str) -> Iterator[tuple[str, Next]]:
    for bridge in host.switch.bridges.values() if host.switch is not None else ():
        command = f"ovs-ofctl -O OpenFlow13 dump-flows {bridge.name}"
        if bridge.flows is None:
            yield (
                f"the flows of {host.name} {bridge.name} were not collected",
                Next(host.name, command, f"flows may translate {address} or answer ARP for it"),
            )
        elif not bridge.flows.whole:
            yield (
                (
                    f"{host.name} {bridge.name}: the flows are a filtered view ({bridge.flows.partial}); "
                    f"whether another flow answers ARP for {address} is not known: a race for the ARP answer "
                    "is possible, not observed"
                ),
                Next(host.name, command, "the filter hides flows"),
            )
