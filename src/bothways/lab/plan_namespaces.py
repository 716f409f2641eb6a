"""Namespaces, and what is set inside them: addresses, routes, rules, filters."""

from __future__ import annotations

from collections.abc import Iterator

from bothways.lab.act import Act
from bothways.lab.naming import Naming
from bothways.lab.site import Site, Space

__all__ = ["namespaces", "settings"]


def namespaces(site: Site, naming: Naming) -> Iterator[Act]:
    """Make the namespaces, quiet: no IPv6 unless it is asked for, no reverse path filter."""
    names = [naming.space(place) for place in site.spaces]
    for name in (*names, naming.wires):
        yield Act("namespaces", ("ip", "netns", "add", name))
    off = () if site.ipv6 else ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    for name in (*names, naming.wires):
        quiet = () if name != naming.wires else ("net.ipv6.conf.all.disable_ipv6=1",)
        words = (*off, *quiet, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        yield Act("namespaces", ("sysctl", "-qw", *words), name)
        yield Act("namespaces", ("ip", "link", "set", "lo", "up"), name)


def settings(site: Site, naming: Naming, *, without_routers: bool = False) -> Iterator[Act]:
    """
    Filters first and addresses behind them, as the L3 agent does it; then routes, rules, neighbours, sysctls.

    An address that stands before its rules would answer in its own name for a moment.

    :param without_routers: leave out the namespaces that Neutron's agent programs.
    """
    for space in site.spaces.values():
        if without_routers and space.router is not None:
            continue
        name = naming.space(space.place)
        for program, text in (
            ("iptables-restore", space.iptables),
            ("ip6tables-restore", space.ip6tables),
        ):
            if text is not None:
                yield Act("namespaces' settings", (program, "-n"), name, given=text)
        if space.nft is not None:
            yield Act("namespaces' settings", ("nft", "-f", "-"), name, given=space.nft)
        lines = list(_addresses(space))
        lines += [f"route replace {route}" for route in space.routes]
        lines += [f"rule add {rule}" for rule in space.rules]
        lines += [f"neigh replace {neighbour}" for neighbour in space.neighbours]
        if lines:
            yield Act("namespaces' settings", ("ip", "-batch", "-"), name, given="\n".join(lines) + "\n")
        if space.fdb:
            rows = "".join(f"fdb append {row}\n" for row in space.fdb)
            yield Act("namespaces' settings", ("bridge", "-batch", "-"), name, given=rows)
        if space.sysctls:
            words = tuple(f"{key}={value}" for key, value in space.sysctls.items())
            yield Act("namespaces' settings", ("sysctl", "-qw", *words), name)


def _addresses(space: Space) -> Iterator[str]:
    for device, mac in space.macs.items():
        if device in space.addresses:
            yield f"link set dev {device} address {mac}"
    for device, mtu in space.mtus.items():
        if device in space.addresses:
            yield f"link set dev {device} mtu {mtu}"
    for device, addresses in space.addresses.items():
        yield f"link set dev {device} up"
        for address in addresses:
            yield f"addr add {address} dev {device}"
